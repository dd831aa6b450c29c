"""Coded constants: every form gives the same elements in both readers; the smallest is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, Optional

import numpy as np
import pytest

import edgecv
from edgecv import _core
from edgecv.errors import FormatError
from edgecv.format import encode, writer
from edgecv.format.reader import judge, read

from .golden import Builder, coded, finish

Array = np.ndarray[Any, Any]


def one_layer(weights: Array) -> Builder:
    """A fully connected layer with these weights, s8 or f32."""
    b = Builder("one", 0)
    rows, columns = weights.shape
    dtype = "s8" if weights.dtype == np.int8 else "f32"
    x = b.input("x", (1, columns), dtype)
    w = b.graph.constant("w", weights, dtype).name
    parts = [w, b.bias(rows), b.multipliers(rows)] if dtype == "s8" else [w, ""]
    b.output("y", b.node("FullyConnected", [x, *parts], (1, rows), dtype))
    return b


def weights_of(data: bytes) -> Any:
    return next(tensor for tensor in read(data).tensors if tensor.name == "w")


def laplace(rows: int, columns: int, spread: float = 5.0, zeros: float = 0.0) -> Array:
    random = np.random.default_rng(rows * columns)
    values = np.rint(random.laplace(0, spread, (rows, columns)))
    values[random.random(values.shape) < zeros] = 0
    return np.clip(values, -127, 127).astype(np.int8)


def every_coding(values: Array) -> List[bytes]:
    """All ways of the encoder, whether they pay or not."""
    made = []
    for form in encode._forms(values):
        made.append(form.header(0, 0, 0, 0) + form.parts_before())
        made[-1] += encode._pack(form.symbols, form.width)
        whole = np.bincount(form.symbols, minlength=256)
        tables = encode._frequencies(whole)[None]
        made.append(encode._rans(form, encode._Classes(0, np.zeros(0, int), tables, 0.0)))
        for axis, groups in ((0, form.rows), (1, form.columns)):
            if groups is not None and groups.size:
                count = values.shape[-1] if axis else values.shape[0]
                counts = np.bincount(groups * 256 + form.symbols, minlength=count * 256)
                found = encode._cluster(counts.reshape(count, 256), 3, axis, 0)
                made.append(encode._rans(form, found))
    return made


@pytest.mark.parametrize(
    "values",
    [
        laplace(37, 53),
        laplace(64, 100, zeros=0.9),
        laplace(1, 129),
        laplace(300, 1, 40.0),
        laplace(8, 40, 1.0),
        np.full((16, 16), -128, np.int8),
        np.zeros((16, 16), np.int8),
        np.arange(-128, 128).astype(np.int8).reshape(16, 16),
        np.float32([0.5, -0.0, 0.0, np.pi])[laplace(32, 24) & 3],
        laplace(16, 24, 9.0).astype(np.float32) / 3,
    ],
    ids=["dense", "zeros", "a row", "a column", "narrow", "one value", "all zeros", "all values",
         "f32", "f32 laplace"],
)  # fmt: skip
def test_every_form_gives_the_same_elements(values: Array, monkeypatch: Any) -> None:
    made = every_coding(values)
    assert len(made) >= 4
    for stored in made:
        monkeypatch.setattr(
            writer, "encode", lambda array, s=stored: s if array.shape == values.shape else None
        )
        data = finish(one_layer(values), 1, {}, "smallest")
        tensor = weights_of(data)
        assert tensor.stored == len(stored)
        assert tensor.data.tobytes() == values.tobytes()
        assert tuple(_core.judge(data)) == ("ok", "")
        with edgecv.load(data) as model:  # digests of the raw file: the same weights
            assert model.verify().passed


@pytest.mark.parametrize("empty", [1, 2, 90])
def test_rows_of_zeros_at_the_end_have_a_class_too(empty: int, monkeypatch: Any) -> None:
    """Their bitmap is empty, and the class of each row is still stored."""
    values = laplace(256, 128, zeros=0.7)
    values[1::2] = np.clip(values[1::2], -1, 1)
    values[-empty:] = 0
    (form,) = [f for f in encode._forms(values) if f.ones is not None and f.mapping == 0]
    classes = encode._best_classes(form)
    assert len(classes.tables) > 1
    stored = encode._rans(form, classes)
    monkeypatch.setattr(writer, "encode", lambda a: stored if a.shape == values.shape else None)
    data = finish(one_layer(values), 1, {}, "smallest")
    assert weights_of(data).data.tobytes() == values.tobytes()
    assert tuple(_core.judge(data)) == ("ok", "")


def test_a_coding_of_other_values_is_not_written(monkeypatch: Any) -> None:
    values = laplace(16, 64)
    other = encode.encode(values[::-1])
    monkeypatch.setattr(writer, "encode", lambda a: other if a.shape == values.shape else None)
    with pytest.raises(FormatError, match="'w' would be read with other values"):
        finish(one_layer(values), 1, {}, "smallest")


def test_each_layer_of_the_golden_file_is_coded_in_its_own_way() -> None:
    codings = {t.name: t.coding for t in read(coded()).tensors if t.coding and t.name[:2] != "c."}
    assert codings == {
        "nibbles": "4 bits",
        "book": "codebook of 7, 3 bits",
        "books": "codebooks of 4 a row, 2 bits",
        "bitmap": "bitmap, 8 bits",
        "table": "entropy, 1 table",
        "rows": "entropy, 2 tables",
        "columns": "entropy, 2 tables",
        "sparse_table": "entropy, 1 table",
        "f32_book": "bitmap, codebook of 4, 2 bits",
    }


def test_entropy_coding_is_close_to_the_entropy() -> None:
    values = laplace(128, 512)
    stored = encode.encode(values)
    assert stored is not None
    share = np.bincount(values.reshape(-1).astype(int) + 128) / values.size
    entropy = -(share[share > 0] * np.log2(share[share > 0])).sum() * values.size / 8
    assert entropy < len(stored) < 1.01 * entropy + 400


@pytest.mark.parametrize(
    "values",
    [laplace(4, 16), np.random.default_rng(3).integers(-128, 128, (64, 64)).astype(np.int8)],
)
def test_what_does_not_get_smaller_stays_raw(values: Array) -> None:
    assert encode.encode(values) is None
    data = writer.write(one_layer(values).graph, meta={}, preprocess={}, storage="smallest")
    assert weights_of(data).coding == ""


def test_a_file_without_coded_constants_stays_version_1_0() -> None:
    graph = one_layer(laplace(4, 16)).graph
    assert writer.write(graph, meta={}, preprocess={}, storage="smallest")[10] == 0
    assert writer.write(one_layer(laplace(64, 64)).graph, meta={}, preprocess={})[10] == 0
    assert coded()[10] == 1


def test_a_constant_of_gigabytes_takes_no_memory(tmp_path: Path) -> None:
    """All elements equal: the entropy is 0, but 32 elements take at least a byte."""
    values = np.zeros((256, 4096), np.int8)
    stored: Optional[bytes] = encode.encode(values)
    assert stored is not None
    assert len(stored) * 32 >= values.size
    data = writer.write(one_layer(values).graph, meta={}, preprocess={}, storage="smallest")
    assert judge(data) == "ok" == _core.judge(data)[0]
