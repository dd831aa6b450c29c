"""`edgecv verify` passes on what the converter wrote and names the op when one weight byte is
wrong.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import realmodels
from format.damage import File
from numpy.typing import NDArray
from proof import models

import edgecv
from edgecv.cli.main import main
from edgecv.format.generator import generate
from edgecv.format.reader import read
from edgecv.format.schema import OPS
from edgecv.format.to_graph import goldens_of, to_graph
from edgecv.graph.interpret import interpret_node

WEIGHTED = {OPS[name].code for name in ("Conv2d", "FullyConnected")}


@pytest.fixture(scope="module")
def int8(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return models.int8_file(tmp_path_factory.mktemp("int8"))


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return models.int8_file(tmp_path_factory.mktemp("mixed"), keep_float=["pointwise"])


@pytest.fixture(scope="module")
def fp32(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return models.fp32_file(tmp_path_factory.mktemp("fp32"))


def break_weight(data: bytes, name: str) -> bytes:
    """The file with one bit of one weight byte of the named op flipped, checksums right.

    In an s8 weight bit 6, elsewhere the highest bit of a float's exponent. An s8 weight is of one
    of the three channels with the largest multipliers, the first in which something comes out
    wrong: a dead channel's multiplier hides any weight, and so does a clamp that both values reach.
    """
    for rank in range(3):
        broken = flip_weight(data, name, rank)
        with edgecv.load(broken) as model:
            if not model.verify().passed:
                break
    return broken


def flip_weight(data: bytes, name: str, rank: int) -> bytes:
    """One weight of the channel with the rank-th largest multiplier; an s8 weight must not become
    -128, which the reader refuses.
    """
    file, model = File(data), read(data)
    index = next(i for i, op in enumerate(model.ops) if op.name == name)
    weights = model.tensors[file.operand(index, 1)].data
    assert weights is not None
    blob = file["DATA"].data
    at = file.get("TENS", file.operand(index, 1), 56, "Q")
    if weights.dtype == np.int8:
        multiplier = model.tensors[file.operand(index, 3)].data
        assert multiplier is not None
        at += int(multiplier.argsort()[-1 - rank]) * (weights.size // len(weights))
        while blob[at] ^ 0x40 == 0x80:
            at += 1
    else:
        at += 3
    blob[at] ^= 0x40
    broken = file.join()
    assert sum(a != b for a, b in zip(data, broken)) <= 1 + 2 * 4  # the weight and two checksums
    return broken


def moving_channels(data: bytes, index: int) -> NDArray[np.bool_]:
    """Whether a channel of an s8 op has values between its ends when the op runs alone."""
    graph = to_graph(read(data))
    node = graph.nodes[index]
    x = graph.values[node.inputs[0]]
    seed = next(golden.seed for golden in goldens_of(read(data)) if golden.kind == 1)
    y = interpret_node(graph, node, {node.inputs[0]: generate(seed, x.dtype, x.shape)})
    ends = node.attrs["lo"], node.attrs["hi"]
    return np.asarray(((y > ends[0]) & (y < ends[1])).reshape(-1, y.shape[-1]).any(axis=0))


def weighted_ops(data: bytes) -> list[str]:
    return [op.name for op in read(data).ops if op.code in WEIGHTED]


def check_named(
    broken: bytes, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """API and command line both name the op and its kernel."""
    with edgecv.load(broken) as model:
        report = model.verify()
        kernel = next(step.kernel for step in model.steps if step.name == name)
    assert not report.passed
    assert (report.op, report.kernel) == (name, kernel)
    path = tmp_path / "broken.ecv"
    path.write_bytes(broken)
    assert main(["verify", str(path)]) == 1
    line = capsys.readouterr().out
    assert line.startswith("FAIL")
    assert f"'{name}'" in line
    assert kernel in line


@pytest.mark.parametrize("kind", ["int8", "mixed", "fp32"])
@pytest.mark.parametrize("isa", [None, "reference"])
def test_good_files_pass(kind: str, isa: str | None, request: pytest.FixtureRequest) -> None:
    with edgecv.load(request.getfixturevalue(kind), isa=isa) as model:
        report = model.verify()
        ops = len(model.ops)
    assert report.passed, str(report)
    assert report.digests >= ops


def test_command_line_passes(
    int8: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "good.ecv"
    path.write_bytes(int8)
    assert main(["verify", str(path)]) == 0
    assert capsys.readouterr().out.startswith("PASS")


@pytest.mark.parametrize("name", ["stem", "depthwise", "pointwise", "down", "fc"])
@pytest.mark.parametrize("kind", ["int8", "fp32"])
def test_a_broken_weight_is_named(
    kind: str,
    name: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good = request.getfixturevalue(kind)
    assert name in weighted_ops(good)
    check_named(break_weight(good, name), name, tmp_path, capsys)


def test_mixed_file_runs_the_layers_behind_a_float_one_alone(mixed: bytes) -> None:
    model = read(mixed)
    goldens = {golden.kind: golden for golden in goldens_of(model)}
    names = [op.name for op in model.ops]
    alone = {names[digest.op] for digest in goldens[1].digests}
    whole = {names[digest.op] for digest in goldens[0].digests}
    assert {"residual", "pool", "down", "mean", "fc"} <= alone
    assert {"stem", "depthwise", "pointwise"} <= whole
    # Every integer op runs alone; a whole run has no digest of what stands behind a float layer.
    assert {"stem", "depthwise"} <= alone
    assert "pointwise" not in alone
    assert not {"residual", "pool", "down", "mean", "fc"} & whole


@pytest.mark.parametrize("name", ["stem", "depthwise", "pointwise", "down", "fc"])
def test_a_broken_weight_of_a_mixed_file_is_named(
    mixed: bytes, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check_named(break_weight(mixed, name), name, tmp_path, capsys)


@pytest.mark.network
def test_a_broken_weight_of_a_real_network_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = realmodels.int8_path("mobilenet-v2").read_bytes()
    with edgecv.load(good) as model:
        report = model.verify()
    assert report.passed, str(report)
    names = weighted_ops(good)
    assert len(names) >= 50
    for name in (names[0], names[len(names) // 2], names[-1]):
        check_named(break_weight(good, name), name, tmp_path, capsys)
