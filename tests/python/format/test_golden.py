"""Golden files: read for ever, written again byte for byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import edgecv
from edgecv import _core
from edgecv.format.reader import judge, read
from edgecv.format.schema import OPS
from edgecv.format.to_graph import goldens_of, preprocess_of, to_graph
from edgecv.format.writer import write

from .damage import File, Section
from .golden import GOLDEN

DATA = Path(__file__).resolve().parents[2] / "data" / "golden"
FILES = sorted(path.stem for path in DATA.glob("*.ecv"))


def load(name: str) -> bytes:
    return (DATA / f"{name}.ecv").read_bytes()


@pytest.mark.parametrize("name", FILES)
def test_read_by_both_readers(name: str) -> None:
    assert judge(load(name)) == "ok"
    assert tuple(_core.judge(load(name))) == ("ok", "")


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_builders_give_the_committed_bytes(name: str) -> None:
    assert GOLDEN[name]() == load(name)


@pytest.mark.parametrize("name", FILES)
def test_reading_and_writing_gives_the_same_bytes(name: str) -> None:
    model = read(load(name))
    again = write(
        to_graph(model),
        meta=model.meta,
        preprocess=preprocess_of(model),
        goldens=goldens_of(model),
        storage="smallest" if name == "coded" else "raw",
    )
    assert again == load(name)


@pytest.mark.parametrize("name", FILES)
def test_the_runtime_computes_the_digests_of_the_interpreter(name: str) -> None:
    """Digests come from the numpy interpreter (mlp: from arithmetic in the test's own builder)."""
    with edgecv.load(load(name)) as model:
        report = model.verify()
    assert report.passed, report.message
    assert report.goldens == 2
    assert report.digests >= 2 * len(read(load(name)).ops)


def test_goldens_use_every_op() -> None:
    used = {op.code for name in FILES for op in read(load(name)).ops}
    assert used == {schema.code for schema in OPS.values()}


def test_graph_of_a_file() -> None:
    graph = to_graph(read(load("convnet")))
    assert graph.name == "convnet"
    assert graph.inputs[0].shape == (1, 3, 6, 6)
    assert graph.outputs[1].dtype == "s32"
    conv = graph.nodes[1]
    assert (conv.op, conv.attrs["stride_h"], conv.attrs["lo"]) == ("Conv2d", 2, 3)
    assert "zero_point" not in conv.attrs
    multipliers = graph.values[conv.inputs[3]].data
    assert multipliers is not None
    assert multipliers.dtype == np.float32
    f32 = to_graph(read(load("f32ops")))
    assert f32.nodes[0].inputs[2] == ""
    assert [node.attrs["start"] for node in f32.nodes if node.op == "Slice"] == [[0, 1, 0, 0]]


def test_meta_and_preprocess() -> None:
    model = read(load("convnet"))
    assert model.meta["labels"].split("\n")[2] == "çat"
    fields = preprocess_of(model)["image"]
    assert (fields["resize_mode"], fields["crop_width"]) == (1, 6)
    assert fields["std"] == [128.0, 128.0, 128.0, 1.0]


@pytest.mark.parametrize("position", [0, 5, 10])
def test_an_unknown_section_that_is_not_critical_is_skipped(position: int) -> None:
    file = File(load("mlp"))
    file.sections.insert(position, Section("xtra", 0, b"anything", 3))
    assert judge(file.join()) == "ok"
    assert _core.judge(file.join())[0] == "ok"


def test_a_later_minor_version_without_anything_new_is_read() -> None:
    file = File(load("mlp"))
    file.header[10] = 7
    assert judge(file.join()) == "ok"
    assert _core.judge(file.join())[0] == "ok"
