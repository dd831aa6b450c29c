"""Encodings that AIMET wrote beside a float model, and such as mean nothing."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from stepwise import Comparison, Oracle, compare

import edgecv
from edgecv.cli.main import main
from edgecv.errors import Error
from edgecv.format.reader import read
from edgecv.format.to_graph import to_graph
from edgecv.graph.ir import Graph
from edgecv.onnx.apply_encodings import apply_encodings
from edgecv.onnx.encodings import read_encodings
from edgecv.onnx.importer import import_model

DATA = Path(__file__).resolve().parents[2] / "data" / "quantized"
FLOAT = DATA / "float.onnx"
VERSIONS = ["0.6.1", "1.0.0", "2.0.0"]
Array = NDArray[Any]


def picture(seed: int = 3) -> Array:
    return np.random.default_rng(seed).normal(size=(1, 3, 32, 32)).astype(np.float32)


def encodings(name: str) -> Path:
    return DATA / f"aimet_{name}.encodings"


def converted(name: str, tmp_path: Path, model: Any = FLOAT) -> Any:
    target = tmp_path / "m.ecv"
    path = name if "/" in name else encodings(name)
    report = edgecv.convert(model, target, encodings=path)
    return report, to_graph(read(target.read_bytes()))


def answer(path: Path, x: Array) -> Array:
    with edgecv.load(path) as model:
        assert model.verify().passed
        result: Array = next(iter(model.run(x).values()))
    return result


def simulated(name: str) -> Array:
    with np.load(DATA / "aimet.npz") as file:
        result: Array = file[name]
    return result


@pytest.mark.parametrize("name", [*VERSIONS, "w4"])
def test_layers(name: str, tmp_path: Path) -> None:
    """Every layer beside onnxruntime, which runs the same roundings."""
    report, graph = converted(name, tmp_path)
    assert (report.precision, report.parameters) == ("int8", "from the model")
    assert all(layer.dtype == "s8" for layer in report.layers)
    model = onnx.load(str(FLOAT))
    apply_encodings(model, read_encodings(encodings(name)), name)
    seen = Comparison()
    for seed in range(3):
        compare(graph, Oracle(model, graph), picture(seed), seen)
    total = seen.total()
    assert total.far == 0
    assert total.unequal <= 0.004 * total.values
    weighted = ("Conv2d", "FullyConnected")
    layers = [node for node in graph.nodes if node.op in weighted]
    assert sum(step.op in weighted for step in seen.steps.values()) == len(layers) > 5


@pytest.mark.parametrize("name", [*VERSIONS, "w4"])
def test_simulation(name: str, tmp_path: Path) -> None:
    """The whole network beside AIMET's simulation, which does not round biases."""
    _, graph = converted(name, tmp_path)
    step = graph.values[graph.outputs[0].value].scale
    want = simulated("w4" if name == "w4" else "w8")
    assert np.ptp(want) > 60 * step
    apart = np.abs(answer(tmp_path / "m.ecv", picture()) - want) / step
    assert apart.max() < 2.1


def test_versions_say_the_same(tmp_path: Path) -> None:
    graphs: List[Graph] = [converted(name, tmp_path)[1] for name in VERSIONS]
    for other in graphs[1:]:
        for mine, theirs in zip(graphs[0].nodes, other.nodes):
            assert (mine.op, mine.attrs) == (theirs.op, theirs.attrs)
            one, two = graphs[0].values[mine.outputs[0]], other.values[theirs.outputs[0]]
            assert (one.scale, one.zero_point) == (two.scale, two.zero_point)
            for first, second in zip(mine.inputs, theirs.inputs):
                a, b = graphs[0].values[first].data, other.values[second].data
                assert (a is None and b is None) or np.array_equal(a, b)


def test_weights_are_those_of_aimet(tmp_path: Path) -> None:
    _, graph = converted("1.0.0", tmp_path)
    stored = {t.name: numpy_helper.to_array(t) for t in onnx.load(str(FLOAT)).graph.initializer}
    given = {e["name"]: e for e in json.loads(encodings("1.0.0").read_text())["param_encodings"]}
    want = []
    for name, weights in stored.items():
        if name in given and weights.ndim == 4:
            scale = np.array(given[name]["scale"]).reshape(-1, 1, 1, 1)
            want.append(np.clip(np.rint(weights / scale), -128, 127))
    ours = [graph.values[n.inputs[1]].data for n in graph.nodes if n.op == "Conv2d"]
    assert len(ours) == len(want) == 6
    for mine, theirs in zip(ours, want):
        assert mine is not None  # -128 is in two parts, which sum up to it
        np.testing.assert_array_equal(mine.sum((1, 2, 3), dtype=int), theirs.sum((1, 2, 3)))


def test_wide_activations_stay_float(tmp_path: Path) -> None:
    report, _ = converted("a16", tmp_path)
    assert report.precision == "fp32"
    assert any("of more than 8 bits" in remark for remark in report.remarks)
    got, want = answer(tmp_path / "m.ecv", picture()), simulated("a16")
    assert np.abs(got - want).max() < 0.002 * np.abs(want).max()


def test_cut_weights(tmp_path: Path) -> None:
    """-128 becomes -127 and nothing else does; no layer reads its input twice."""
    exact, _ = converted("1.0.0", tmp_path)
    before = answer(tmp_path / "m.ecv", picture())
    assert any("cut_weights" in warning for warning in exact.warnings)
    target = str(tmp_path / "m.ecv")
    asked = ["--encodings", str(encodings("1.0.0")), "--cut-weights"]
    assert main(["convert", str(FLOAT), "-o", target, *asked]) == 0
    graph = to_graph(read(Path(target).read_bytes()))
    assert not {"Slice", "Concat"} & {node.op for node in graph.nodes}
    report = edgecv.convert(FLOAT, target, encodings=encodings("1.0.0"), cut_weights=True)
    assert not report.warnings
    assert any(remark.endswith(" steps") for remark in report.remarks)
    given = {e["name"]: e for e in json.loads(encodings("1.0.0").read_text())["param_encodings"]}
    stored = {t.name: numpy_helper.to_array(t) for t in onnx.load(str(FLOAT)).graph.initializer}
    kernels = [name for name, data in stored.items() if name in given and data.ndim == 4]
    layers = [node for node in graph.nodes if node.op == "Conv2d"]
    for node, name in zip(layers, kernels):
        weights = graph.values[node.inputs[1]].data
        assert weights is not None
        scale = np.array(given[name]["scale"]).reshape(-1, 1, 1, 1)
        want = np.clip(np.rint(stored[name] / scale), -127, 127)
        np.testing.assert_array_equal(weights.transpose(0, 3, 1, 2), want)
    apart = np.abs(answer(tmp_path / "m.ecv", picture()) - before).max()
    assert apart < 0.1 * np.ptp(before)


def test_cut_weights_of_a_float_model(tmp_path: Path) -> None:
    with pytest.raises(Error, match="quantized already"):
        edgecv.convert(FLOAT, tmp_path / "m.ecv", cut_weights=True)
    assert not (tmp_path / "m.ecv").exists()


# -- made by hand


def small() -> onnx.ModelProto:
    """Conv, ConvTranspose, Relu, and a product of two axes."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["y"], "conv"),
        helper.make_node("Relu", ["y"], ["r"], "relu"),
        helper.make_node("ConvTranspose", ["r", "v"], ["z"], "deconv"),
    ]
    data = {"w": rng.normal(size=(4, 3, 1, 1)), "b": rng.normal(size=4)}
    data["v"] = rng.normal(size=(4, 5, 2, 2))
    parts = [numpy_helper.from_array(a.astype(np.float32), name) for name, a in data.items()]
    ports = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("x", [1, 3, 6, 6]), ("z", None))
    ]
    graph = helper.make_graph(nodes, "small", ports[:1], ports[1:], parts)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def entry(name: str, scale: Any, offset: Any = -128, bits: int = 8) -> Dict[str, Any]:
    kind = "PER_TENSOR" if np.size(scale) == 1 else "PER_CHANNEL"
    scales = np.ravel(scale).tolist()
    return {
        "name": name, "dtype": "INT", "bw": bits, "is_sym": False, "enc_type": kind,
        "scale": scales, "offset": np.ravel(offset).tolist() * (len(scales) // np.size(offset)),
    }  # fmt: skip


def good() -> Dict[str, Any]:
    return {
        "version": "1.0.0",
        "activation_encodings": [
            entry("x", 0.02, -100), entry("r", 0.03, 0), entry("z", 0.1, -120),
        ],
        "param_encodings": [
            entry("w", [0.02, 0.03, 0.025, 0.021]), entry("v", 0.03 + 0.001 * np.arange(5)),
        ],
    }  # fmt: skip


def save(data: Any, tmp_path: Path) -> Path:
    path = tmp_path / "hand.encodings"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


@pytest.mark.parametrize("change", ["", "narrow", "asymmetric", "blocks", "relu"])
def test_forms(change: str, tmp_path: Path) -> None:
    data = good()
    if change == "narrow":
        data["activation_encodings"][1] = entry("r", 0.1, 0, 5)
        data["param_encodings"][0] = entry("w", 0.3, -8, 4)
    elif change == "asymmetric":
        data["param_encodings"][0] = entry("w", 0.02, -90)
    elif change == "blocks":  # of 2 inputs: the layer stays f32, with these steps
        data = {"version": "2.0.0", "encodings": [
            {"name": "x", "y_scale": 0.02, "y_zero_point": 100, "output_dtype": "uint8"},
            {"name": "v", "y_scale": 0.02, "output_dtype": "int4"},
            {"name": "w", "y_scale": [[[[0.1]], [[0.2]]]] * 4, "axis": 1,
             "block_size": 2, "output_dtype": "int8"},
            {"name": "r", "y_scale": 0.03, "output_dtype": "uint8"},
            {"name": "z", "y_scale": 0.1, "y_zero_point": -3, "output_dtype": "int8"},
        ]}  # fmt: skip
    elif change == "relu":
        data["activation_encodings"].insert(1, entry("y", 0.05, -110))
    path = save(data, tmp_path)
    report, graph = converted(str(path), tmp_path, small())
    assert ("f32" in {layer.dtype for layer in report.layers}) == (change == "blocks")
    model = small()
    apply_encodings(model, read_encodings(path), "hand")
    model = onnx.version_converter.convert_version(model, 21) if change == "blocks" else model
    seen = Comparison()
    x = np.random.default_rng(1).normal(size=(1, 3, 6, 6)).astype(np.float32)
    compare(graph, Oracle(model, graph), x, seen)
    assert seen.steps
    assert seen.total().far == 0


def _set(part: str, index: int, **values: Any) -> Callable[[Dict[str, Any]], None]:
    return lambda data: data[part][index].update(values)


BAD: Dict[str, Any] = {
    "missing": (_set("activation_encodings", 0, name="lost"), "model lacks: 'lost'"),
    "twice": (_set("activation_encodings", 0, name="r"), "'r' is there twice"),
    "zero": (_set("param_encodings", 0, scale=[0.02, 0.0, 0.1, 0.1]), "'w' has a scale of 0;"),
    "negative": (_set("activation_encodings", 1, scale=[-0.1]), "'r' has a scale of -0.1;"),
    "nan": (_set("activation_encodings", 2, scale=[float("nan")]), "'z' has a scale that is not"),
    "infinite": (_set("param_encodings", 1, scale=[1e999] * 5), "'v' has a scale that is not"),
    "beyond f32": (_set("param_encodings", 1, scale=[1e40] * 5), "'v' has a scale that is not"),
    "tiny": (_set("activation_encodings", 1, scale=[1e-40]), "'r' has a scale of 1e-40, below"),
    "channels": (
        _set("param_encodings", 0, scale=[0.1] * 3, offset=[-128] * 3),
        "'w' has 3 scales for the 4 channels of axis 0",
    ),
    "axis": (
        _set("param_encodings", 1, scale=[0.1] * 4, offset=[-128] * 4),
        "'v' has 4 scales for the 5 channels of axis 1",
    ),
    "offsets": (_set("param_encodings", 0, offset=[-128] * 3), "'w' has 4 scales and 3 offsets"),
    "activation": (
        _set("activation_encodings", 1, scale=[0.1] * 4, offset=[0] * 4),
        "'r' gives an activation 4 scales",
    ),
    "beyond": (_set("activation_encodings", 1, offset=[7]), "'r' has an offset beyond its 8 bits"),
    "fraction": (_set("activation_encodings", 1, offset=[-7.5]), "an offset that is no integer"),
    "bits": (_set("activation_encodings", 1, bw=1), "'r' is of 1 bits"),
    "text": (_set("activation_encodings", 1, scale="wide"), "'r' is not understood"),
    "lpbq": (_set("param_encodings", 0, enc_type="LPBQ"), "'w' is LPBQ"),
    "lost key": (lambda data: data["param_encodings"][0].pop("scale"), "'scale' is missing"),
    "version": (lambda data: data.update(version="7.0"), "encodings of version 7.0"),
    "no lists": (lambda data: data.update(param_encodings={"w": 1}), "'param_encodings' is not as"),
    "empty": (
        lambda data: data.update(param_encodings=[], activation_encodings=[]), "no encodings at all"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", sorted(BAD))
def test_bad(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change, message = BAD[what]
    data = copy.deepcopy(good())
    change(data)
    path, model = save(data, tmp_path), tmp_path / "m.onnx"
    onnx.save(small(), model)
    target = tmp_path / "m.ecv"
    assert main(["convert", str(model), "-o", str(target), "--encodings", str(path)]) == 2
    line = capsys.readouterr().err
    assert message in line
    assert line.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hand.encodings", "m.onnx"]


def places(data: Any, path: Tuple[Any, ...] = ()) -> Iterator[Tuple[Any, ...]]:
    yield path
    keys: Any = (
        data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    )
    for key in keys:
        yield from places(data[key], (*path, key))


def test_damaged_values(tmp_path: Path) -> None:
    """Whatever a file holds, it is read or refused in edgecv's words."""
    values = [
        None,
        -1,
        0,
        1e40,
        1e-50,
        "x",
        "8",
        [],
        {},
        [[1]],
        True,
        10**400,
        [0.1, "a"],
        2**70,
        0.5,
    ]
    random = np.random.default_rng(3)
    messages = []
    for _ in range(80):
        data = copy.deepcopy(good())
        path = list(places(data))[int(random.integers(1, len(list(places(data)))))]
        part: Any = data
        for key in path[:-1]:
            part = part[key]
        part[path[-1]] = values[int(random.integers(len(values)))]
        try:
            import_model(small(), encodings=save(data, tmp_path))
        except Error as error:
            messages.append(str(error))
    assert len(messages) > 20
    assert not any("\n" in message for message in messages)


@pytest.mark.parametrize("text", ["", "[1, 2]", "{}", "not JSON", '{"version": "1.0.0"}'])
def test_no_encodings_file(text: str, tmp_path: Path) -> None:
    path = save(text, tmp_path)
    with pytest.raises(Error, match="is no encodings file"):
        edgecv.convert(small(), tmp_path / "m.ecv", encodings=path)
    assert not (tmp_path / "m.ecv").exists()


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(Error, match=r"lost\.encodings: No such file"):
        edgecv.convert(small(), tmp_path / "m.ecv", encodings=tmp_path / "lost.encodings")


def test_a_model_that_is_quantized_already(tmp_path: Path) -> None:
    path = save(good(), tmp_path)
    with pytest.raises(Error, match="is quantized already"):
        edgecv.convert(DATA / "torch_fx.onnx", tmp_path / "m.ecv", encodings=path)
    assert not (tmp_path / "m.ecv").exists()
