"""Low-rank factors: exact at full rank, and off by what the discarded singular values say."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgecv.compress import factors
from edgecv.compress.lowrank import factorize
from edgecv.errors import Error

from .nets import Net, random_net, run


def composed(found: factors.Factors) -> np.ndarray[Any, Any]:
    """The weights that the factors together stand for."""
    first, *rest = (np.asarray(w, np.float64) for w in found.weights)
    if found.method == "svd":
        return np.einsum("or,ri->oi", rest[0][:, :, 0, 0], first[:, :, 0, 0])[:, :, None, None]
    if found.method == "spatial":
        return np.einsum("rih,ork->oihk", first[..., 0], rest[0][:, :, 0])
    return np.einsum("si,rshw,or->oihw", first[..., 0, 0], rest[0], rest[1][..., 0, 0])


@pytest.mark.parametrize("shape", [(20, 12, 1, 1), (12, 20, 1, 1)])
@pytest.mark.parametrize("rank", [1, 5, 12])
def test_the_error_is_that_of_the_discarded_values(shape: tuple[int, ...], rank: int) -> None:
    w = np.random.default_rng(rank).normal(size=shape)
    found = factors.pointwise(w, rank)
    s = np.linalg.svd(w[:, :, 0, 0], compute_uv=False)
    wanted = np.sqrt(np.square(s[rank:]).sum() / np.square(s).sum())
    assert found.error == pytest.approx(wanted, abs=1e-12)
    really = np.linalg.norm(w - composed(found)) / np.linalg.norm(w)
    assert really == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("rank", [1, 7, 18])
def test_spatial_error(rank: int) -> None:
    w = np.random.default_rng(rank).normal(size=(10, 6, 3, 5))
    found = factors.spatial(w, rank)
    s = np.linalg.svd(factors.spatial_matrix(w), compute_uv=False)
    wanted = np.sqrt(np.square(s[rank:]).sum() / np.square(s).sum())
    really = np.linalg.norm(w - composed(found)) / np.linalg.norm(w)
    assert found.error == pytest.approx(wanted, abs=1e-12)
    assert really == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("ranks", [(1, 1), (5, 4), (10, 6)])
def test_tucker_error_is_within_its_bound(ranks: tuple[int, int]) -> None:
    w = np.random.default_rng(1).normal(size=(10, 6, 3, 3))
    found = factors.tucker(w, ranks)
    lost = 0.0
    for axis, rank in enumerate(ranks):
        lost += float(np.square(factors.singular_values(factors.unfold(w, axis))[rank:]).sum())
    really = np.linalg.norm(w - composed(found)) / np.linalg.norm(w)
    assert found.error == pytest.approx(really, abs=1e-12)
    assert really <= np.sqrt(lost) / np.linalg.norm(w) + 1e-7


def test_rank_for_energy() -> None:
    s = np.array([2.0, 1.0, 1.0, 0.0])  # energies 4, 1, 1, 0
    ranks = [factors.rank_for(s, e) for e in (0.5, 4 / 6, 0.7, 5 / 6, 0.9, 1.0)]
    assert ranks == [1, 1, 2, 2, 3, 3]
    assert factors.rank_for(s, 0.5, snap=2) == 2
    assert factors.rank_for(s, 0.9, snap=8) == 4


@pytest.mark.parametrize("seed", range(8))
def test_networks_whose_layers_are_of_low_rank_compute_the_same(seed: int) -> None:
    model, feed = random_net(seed)
    grouped = {n.input[1] for n in model.graph.node for a in n.attribute if a.name == "group"}
    made = 0
    for tensor in model.graph.initializer:
        w = numpy_helper.to_array(tensor)
        if w.ndim == 4 and min(w.shape[:2]) > 8:
            low = factors.pointwise(w, 4) if w.shape[2] == 1 else factors.spatial(w, 5)
            tensor.CopyFrom(numpy_helper.from_array(composed(low).astype(np.float32), tensor.name))
            made += 1
    assert made > 0
    assert grouped
    changed, report = factorize(model, energy=1 - 1e-9, snap=1, always=True, keep=["gemm*"])
    onnx.checker.check_model(changed, full_check=True)
    assert sum(not layer.why for layer in report.layers) > 0
    for a, b in zip(run(model, feed), run(changed, feed)):
        assert np.abs(a - b).max() <= 1e-4 * np.abs(a).max()


@pytest.mark.parametrize("method", ["svd", "spatial", "tucker"])
def test_layers_of_low_rank_are_found(method: str) -> None:
    """Strided, padded, dilated: what is of low rank is factored and computes the same."""
    net = Net(4, channels=16, size=12)
    kernel = 1 if method == "svd" else 3
    w = net.rng.normal(size=(32, 16, kernel, kernel))
    if method == "svd":
        w = factors.pointwise(w, 4)
    elif method == "spatial":
        w = factors.spatial(w, 6)
    else:
        w = factors.tucker(w, (6, 5))
    name = net.constant(composed(w).astype(np.float32))
    pads = [0, 0, 0, 0] if method == "svd" else [2, 1, 0, 2]
    dilations = [1, 1] if method == "svd" else [2, 1]
    y = net.node(
        "Conv", ["x", name, net.normal(32)], 32, pads=pads, strides=[2, 1], dilations=dilations
    )
    model = net.finish(y)
    changed, report = factorize(model, energy=1 - 1e-9, snap=1, methods=[method], keep=["gemm*"])
    layer = report.layers[0]
    assert layer.ranks == w.ranks
    assert layer.why == ""
    assert layer.macs_after < layer.macs_before
    expected, found = run(model, net.example())[0], run(changed, net.example())[0]
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("transposed", [0, 1])
def test_fully_connected(transposed: int) -> None:
    net = Net(4)
    flat = net.node("Flatten", ["x"], 0)
    w = (net.rng.normal(size=(192, 5)) @ net.rng.normal(size=(5, 64))).astype(np.float32)
    y = net.node(
        "Gemm", [flat, net.constant(np.ascontiguousarray(w.T) if transposed else w),
                 net.normal(64)], 64, transB=transposed, alpha=0.5, beta=2.0,
    )  # fmt: skip
    y = net.node("MatMul", [y, net.constant(np.ascontiguousarray(w[:64] @ w[:64].T))], 64)
    model = net.model(y, 3)
    changed, report = factorize(model, energy=1 - 1e-9, snap=1)
    assert [layer.ranks for layer in report.layers] == [(5,), (5,), ()]
    expected, found = run(model, net.example())[0], run(changed, net.example())[0]
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_what_is_not_faster_stays() -> None:
    net = Net(1, channels=32, size=16)
    model = net.finish(net.conv("x", 32, 3))
    changed, report = factorize(model, energy=0.999)
    before = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    after = {t.name: numpy_helper.to_array(t) for t in changed.graph.initializer}
    assert before.keys() == after.keys()
    assert "dense is faster" in report.layers[0].why
    assert "nothing to gain" in str(report)


def test_measured_layers() -> None:
    net = Net(1, channels=256, size=14)
    w = (net.rng.normal(size=(256, 16)) @ net.rng.normal(size=(16, 256))).astype(np.float32)
    y = net.node("Conv", ["x", net.constant(w[:, :, None, None])], 256)
    _, report = factorize(net.finish(y), energy=0.9999, measure=True)
    assert report.layers[0].measured is not None
    assert report.layers[0].measured < 0.8
    assert report.layers[0].ranks == (16,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"energy": 0.0}, "energy is 0.0"),
        ({"methods": ["qr"]}, "'qr' is none of"),
        ({"snap": 0}, "snap is 0"),
    ],
)
def test_refusals(options: dict[str, Any], message: str) -> None:
    net = Net(1)
    with pytest.raises(Error, match=message):
        factorize(net.finish(net.conv("x", 8)), **options)
