"""The stages of the Fashion-MNIST recipe on few pictures; `make recipes-quick` runs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import onnxruntime
import pytest
import torch
from fashion_mnist import chain, data, export, models, prune, qat, train
from fashion_mnist.progress import Progress

import edgecv
from edgecv.quant.lanes import lane_bound, largest_lane_sum

pytestmark = pytest.mark.recipes
torch.set_num_threads(1)


def shapes(count: int, seed: int = 0) -> data.Pictures:
    """Pictures that a network can learn: a bright square whose place is the class, and noise."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 10, count).astype(np.uint8)
    images = random.integers(0, 90, (count, 28, 28)).astype(np.uint8)
    for image, label in zip(images, labels):
        row, column = 4 + 10 * (int(label) // 5), 2 + 5 * (int(label) % 5)
        image[row : row + 6, column : column + 4] += 150
    return data.Pictures(images, labels)


def trained(net: Any, seed: int = 0) -> Any:
    """A network whose statistics are those of data, without the time that training takes."""
    torch.manual_seed(seed)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0.2, 0.3)
    net.train()
    with torch.no_grad():
        for _ in range(8):
            net(train.tensor(shapes(128).inputs()))
    return net.eval()


def outputs(net: Any, pictures: data.Pictures) -> Any:
    with torch.no_grad():
        return net(train.tensor(pictures.inputs())).numpy()


def onnx_outputs(proto: onnx.ModelProto, pictures: data.Pictures) -> Any:
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.concatenate([session.run(None, {"picture": x[None]})[0] for x in pictures.inputs()])


def test_names_and_outputs_survive_the_export() -> None:
    net, few = trained(models.student()), shapes(8)
    named = export.to_onnx(net, folded=False)
    arrays = {item.name for item in named.graph.initializer}
    wanted = {name for name in net.state_dict() if not name.endswith("num_batches_tracked")}
    assert wanted <= arrays
    for proto in (named, export.to_onnx(net)):
        np.testing.assert_allclose(onnx_outputs(proto, few), outputs(net, few), atol=2e-5)


@pytest.mark.parametrize("make", [models.student, models.teacher])
def test_a_pruned_onnx_file_becomes_the_same_torch_module(make: Any) -> None:
    net, few = trained(make()), shapes(8)
    loss = train.cross_entropy(few)
    proto, report = prune.prune(net, 0.4, prune.gradients(net, few, loss, 0))
    assert report.macs_after <= 0.6 * report.macs_before
    pruned = models.adopt(make(), proto).eval()
    count = sum(p.numel() for p in pruned.parameters())
    assert count < 0.8 * sum(p.numel() for p in net.parameters())
    np.testing.assert_allclose(outputs(pruned, few), onnx_outputs(proto, few), atol=2e-5)
    assert np.abs(outputs(net, few) - outputs(pruned, few)).max() > 1e-3
    loss(np.arange(8), 0, pruned.train()(train.tensor(few.inputs()))).backward()  # trains on


def test_adopt_names_what_is_missing() -> None:
    net = trained(models.student())
    with pytest.raises(ValueError, match=r"the ONNX file holds no blocks\.0\.conv\.weight"):
        models.adopt(net, export.to_onnx(net))


@pytest.mark.parametrize("make", [models.student, models.teacher])
def test_weights_are_rounded_to_lane_safe_integers(make: Any) -> None:
    net = qat.quantize_aware(trained(make()), shapes(64))
    layers = [m for m in net.modules() if isinstance(m, qat.RoundedWeights)]
    assert len(layers) >= 6
    narrowed = 0
    for module in layers:
        weight = module.layer.weight.detach()
        scale = module.scales().reshape(-1, *[1] * (weight.dim() - 1))
        q = torch.round(weight / scale).numpy().astype(np.int64)
        assert np.abs(q).max() <= 127
        if module.depthwise:
            continue
        kernel = q.transpose(0, 2, 3, 1) if q.ndim == 4 else q
        assert largest_lane_sum(kernel, qat.GROUP) <= lane_bound(255)
        plain = (weight.flatten(1).abs().amax(1) / 127).numpy()
        narrowed += int((module.scales().numpy() > plain * 1.01).sum())
    assert narrowed > 0


def test_edgecv_computes_what_quantization_aware_training_saw(tmp_path: Path) -> None:
    pictures, few = shapes(64), shapes(40, 1)
    net = qat.freeze(qat.quantize_aware(trained(models.student()), pictures))
    proto = export.to_onnx(net, folded=False)
    report = export.convert(proto, tmp_path / "qat.ecv")
    assert report.precision == "int8"
    assert not report.float_layers
    want = outputs(net, few)
    step = float(net.logits.scale)
    with edgecv.load(tmp_path / "qat.ecv", threads=1) as model:
        assert model.inputs[0].dtype == np.int8
        got = np.concatenate([model.run(x[None])["logits"] for x in few.inputs()])
        picture = np.repeat(few.images[0][:, :, None], 3, 2)
        assert np.array_equal(model.run_image(picture)["logits"][0], got[0])
    off = np.rint(np.abs(got - want) / step)
    # A tie that floats round the other way moves values behind it by a step, here and there.
    assert (off <= 1).mean() >= 0.98
    assert off.max() <= 3


def test_a_stopped_training_goes_on_as_if_it_had_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = shapes(256)

    def fit(path: Path) -> Any:
        torch.manual_seed(5)
        net = models.student()
        train.fit(
            net, pictures, train.cross_entropy(pictures), seed=1, views=[0, 1, 0], rate=1e-3,
            progress=Progress("test"), saved=path,
        )  # fmt: skip
        return net.state_dict()

    whole = fit(tmp_path / "whole")
    kept, count = train.save, [0]

    def stop(path: Path, what: Any) -> None:
        kept(path, what)
        count[0] += 1
        if count[0] == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(train, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "stopped")
    monkeypatch.setattr(train, "save", kept)
    again = fit(tmp_path / "stopped")
    for name, value in whole.items():
        assert torch.equal(value, again[name]), name


def test_stages_are_done_once_and_again_when_settings_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = chain.Settings(
        train=640, test=64, teacher_epochs=1, views=1, student_epochs=1, tune_epochs=1,
        qat_epochs=1, calibration=16,
    )  # fmt: skip
    chain.Chain(tmp_path, 0, small, shapes(640), shapes(64, 1)).run()
    first = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert "qat.int8.ecv" in first
    assert not [name for name in first if name.endswith((".epochs", ".tmp"))]
    capsys.readouterr()
    chain.Chain(tmp_path, 0, small, shapes(640), shapes(64, 1)).run()
    assert capsys.readouterr().out.count("done before") == 7
    assert first == {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    changed = chain.Settings(**{**vars(small), "tune_epochs": 2})
    chain.Chain(tmp_path, 0, changed, shapes(640), shapes(64, 1)).run()
    assert capsys.readouterr().out.count("done before") == 4
    records = {
        name: json.loads((tmp_path / f"{name}.json").read_text()) for name in ("tune", "qat")
    }
    assert records["tune"]["tune_epochs"] == 2
