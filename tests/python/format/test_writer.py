"""The writer: deterministic, shares constants, refuses what no reader would take."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

from edgecv.errors import FormatError
from edgecv.format import records
from edgecv.format.generator import generate, generator_words
from edgecv.format.reader import read
from edgecv.format.schema import OPS
from edgecv.format.writer import write
from edgecv.graph.ir import Graph, Port, Value

from .golden import Builder

ROOT = Path(__file__).resolve().parents[3]


def small() -> Builder:
    b = Builder("small", 0)
    x = b.input("x", (2, 3), "s8")
    parts = [b.weights(4, 3), b.bias(4), b.multipliers(4)]
    b.output("y", b.node("FullyConnected", [x, *parts], (2, 4), lo=-5, hi=5))
    return b


def save(graph: Graph, **options: Any) -> bytes:
    return write(graph, **{"meta": {}, "preprocess": {}, **options})


def test_the_same_graph_gives_the_same_bytes() -> None:
    assert save(small().graph, meta={"b": "2", "a": "1"}) == save(
        small().graph, meta={"a": "1", "b": "2"}
    )


def test_equal_constants_are_stored_once() -> None:
    b = Builder("twins", 0)
    x = b.input("x", (1, 4), "f32")
    names = [b.const(np.ones(4), "f32") for _ in range(3)]
    y = b.node("Add", [x, names[0]], (1, 4), "f32")
    y = b.node("Mul", [y, names[1]], (1, 4), "f32")
    # Equal bytes of another shape are another constant.
    y = b.node("Add", [y, b.const(np.ones((1, 4)), "f32")], (1, 4), "f32")
    b.output("y", b.node("Sub", [y, names[2]], (1, 4), "f32"))
    model = read(save(b.graph))
    assert sum(tensor.constant for tensor in model.tensors) == 2
    assert model.ops[0].inputs[1] == model.ops[1].inputs[1] == model.ops[3].inputs[1]


def test_an_s8_constant_operand_keeps_its_scale() -> None:
    b = Builder("offset", 0)
    x = b.input("x", (1, 4), "s8")
    c = b.const([-3, 0, 5, 100], "s8")
    b.graph.values[c].scale, b.graph.values[c].zero_point = 0.5, -7
    b.output("y", b.node("Add", [x, c], (1, 4), ma=1.0, mb=2.0))
    constant = next(t for t in read(save(b.graph)).tensors if t.constant)
    assert (constant.scale, constant.zero_point) == (0.5, -7)


def test_control_characters_in_names_become_question_marks() -> None:
    b = small()
    b.graph.nodes[0].name = "a\x1b[31m\nb"
    model = read(save(b.graph, meta={"labels": "a\nb\x00"}))
    assert model.ops[0].name == "a?[31m?b"
    assert model.meta["labels"] == "a\nb?"


def no_attribute(b: Builder) -> None:
    b.graph.nodes[0].attrs["stride"] = 1


def lost_attribute(b: Builder) -> None:
    b.graph.nodes[0].op = "Concat"


def unknown_op(b: Builder) -> None:
    b.graph.nodes[0].op = "Conv"


def unknown_form(b: Builder) -> None:
    b.graph.nodes[0].op = "Unary"


def unknown_input(b: Builder) -> None:
    b.graph.nodes[0].inputs[1] = "nothing"


def order(b: Builder) -> None:
    b.graph.nodes[0].inputs[0] = b.graph.nodes[0].outputs[0]


def two_outputs(b: Builder) -> None:
    b.graph.nodes[0].outputs.append("x")


def inexact_scale(b: Builder) -> None:
    b.graph.values["x"].scale = 0.1


def bad_dtype(b: Builder) -> None:
    b.graph.values["x"].dtype = "s64"


def scalar(b: Builder) -> None:
    b.graph.values["x"].shape = ()


def output_of_nobody(b: Builder) -> None:
    b.graph.outputs.append(Port("z", "x", (2, 3), (0, 1)))


def constant_input(b: Builder) -> None:
    b.graph.inputs.append(Port("w", b.graph.nodes[0].inputs[1], (4, 3), (0, 1)))


def wrong_perm(b: Builder) -> None:
    b.graph.outputs[0].perm = (0, 0)


def wrong_data(b: Builder) -> None:
    b.graph.values[b.graph.nodes[0].inputs[2]].data = np.zeros(5, np.int32)


def lo_above_hi(b: Builder) -> None:
    b.graph.nodes[0].attrs["lo"] = 6


def wrong_shape(b: Builder) -> None:
    b.graph.values[b.graph.nodes[0].outputs[0]].shape = (2, 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (no_attribute, "unknown attributes stride"),
        (lost_attribute, "unknown attributes hi, lo"),
        (unknown_op, "Conv is no op of the format"),
        (unknown_form, "Unary has no s8 form"),
        (unknown_input, "reads 'nothing', which does not exist"),
        (order, "before it is written"),
        (two_outputs, "has not exactly one output"),
        (inexact_scale, "0.1 is not an f32 number"),
        (bad_dtype, "has dtype s64"),
        (scalar, "rank is 1 to 8"),
        (output_of_nobody, "is not computed by any node"),
        (constant_input, "missing, a constant or given twice"),
        (wrong_perm, "does not fit rank 2"),
        (wrong_data, "its data have shape"),
        (lo_above_hi, "lo 6 and hi 5"),
        (wrong_shape, "the output has shape (2, 5), not (2, 4)"),
    ],
)
def test_refusals_name_the_reason(change: Callable[[Builder], None], message: str) -> None:
    b = small()
    change(b)
    with pytest.raises(FormatError, match=re.escape(message)):
        save(b.graph)


def test_preprocess_of_unknown_ports_and_fields_is_refused() -> None:
    with pytest.raises(FormatError, match="unknown inputs: image"):
        save(small().graph, preprocess={"image": {}})
    with pytest.raises(FormatError, match="unknown fields size"):
        save(small().graph, preprocess={"x": {"size": 3}})


def test_missing_attributes_are_named() -> None:
    b = Builder("concat", 0)
    x = b.input("x", (1, 4), "s8")
    b.output("y", b.node("Concat", [x], (1, 4)))
    with pytest.raises(FormatError, match="attribute axis is missing"):
        save(b.graph)


def test_codes_are_those_of_the_core() -> None:
    text = (ROOT / "cpp" / "src" / "ops" / "op_list.inc").read_text()
    listed = {name: int(code) for name, code in re.findall(r"EDGECV_OP\((\w+), (\d+)\)", text)}
    assert {name: schema.code for name, schema in OPS.items()} == listed


def test_attributes_are_named_in_the_order_of_the_spec() -> None:
    """The first ints of every form stand in docs/ops.md in the same order."""
    rows = {}
    for line in (ROOT / "docs" / "ops.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[0] not in ("op", "---"):
            for name in cells[0].split("(")[0].replace(",", " ").split():
                for dtype in ("s8", "f32"):
                    if cells[1] in ("any", dtype) or dtype in cells[1].split(", "):
                        rows[name, dtype] = (cells[3], cells[4])
    checked = 0
    for (name, dtype), (ints, floats) in rows.items():
        if name not in OPS or "same" in ints or ints.startswith("as "):
            continue
        try:
            form = OPS[name].form(dtype)
        except KeyError:
            continue
        for cell, names in ((ints, form.ints), (floats, form.floats)):
            listed = re.sub(r"\(.*?\)|:.*", "", cell).replace("1, 1,", "dilation_h, dilation_w,")
            skip = {"at", "and", "fill_f32" if dtype == "s8" else "fill_s8"}
            words = [word for word in re.findall(r"[a-z_]\w*", listed) if word not in skip]
            plain = [n.replace("[8]", "") for n in names if not n.startswith("declared")]
            assert words == plain, (name, dtype)
            checked += 1
    assert checked > 40


@pytest.mark.parametrize(
    ("heading", "dtype"),
    [
        ("### Header", records.HEADER),
        ("### Section table entry", records.SECTION),
        ("### TENS", records.TENSOR),
        ("### OPS_", records.OP),
        ("### PORT", records.PORT),
        ("### PREP", records.PREPROCESS),
    ],
)
def test_records_are_those_of_the_spec(heading: str, dtype: np.dtype[Any]) -> None:
    part = (ROOT / "docs" / "format.md").read_text().split(heading, 1)[1].split("###", 1)[0]
    rows = re.findall(r"^\| (\d+) \| \S+ \| (\w+) \|", part, re.MULTILINE)
    fields = dtype.fields
    assert fields is not None
    names = {"version_major": "major", "version_minor": "minor"}
    documented = {names.get(name, name): int(offset) for offset, name in rows}
    assert len(rows) == len(fields)
    for name, offset in documented.items():
        if name != "reserved":
            assert fields[name][1] == offset, name


def test_generator() -> None:
    """The words are those of the public splitmix64 for seed 1234567."""
    words = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert generator_words(1234567, 3).tolist() == words
    raw = b"".join(word.to_bytes(8, "little") for word in words)
    assert generate(1234567, "s8", (3, 7)).tobytes() == raw[:21]
    assert generate(1234567, "s32", (3,)).tolist() == [
        (word & 0xFFFFFFFF) - (word >> 31 & 1) * 2**32 for word in words
    ]
    want = [(word >> 40) * 2.0**-22 - 2 for word in words]
    assert generate(1234567, "f32", (3, 1)).ravel().tolist() == want
    assert generate(-1, "s8", (8,)).tolist() == generate(2**64 - 1, "s8", (8,)).tolist()


def test_values_of_other_dtypes_have_no_golden_input() -> None:
    with pytest.raises(ValueError, match="s64"):
        generate(0, "s64", (1,))


def test_value_defaults() -> None:
    """An activation without quantization is refused as s8."""
    b = small()
    b.graph.values["x"] = Value("x", (2, 3), "s8")
    with pytest.raises(FormatError, match="scale"):
        save(b.graph)
