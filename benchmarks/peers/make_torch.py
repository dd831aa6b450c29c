#!/usr/bin/env python3
"""Make the models of everything but LiteRT and edgecv: the first stage, run by ``make_models.sh``.

Per network: weights (NAME.npz), fp32 ONNX, QDQ int8 ONNX by onnxruntime.quantization (u8 and s8
activations), MNN and ncnn in fp32 and int8, all calibrated on the same pictures; and info.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import torch
from networks import EVERYTHING, Network, pictures
from torch import nn
from torch.nn import functional

ACTIVATIONS = {
    "relu": functional.relu,
    "relu6": functional.relu6,
    "hswish": functional.hardswish,
    "hsigmoid": functional.hardsigmoid,
    "silu": functional.silu,
}
CALIBRATION = 8


class Net(nn.Module):
    """A network of networks.py as a torch module."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.network, self.initializing = network, False
        self.layers = nn.ModuleDict()
        for op in network.ops:
            f = op.fields
            if op.kind == "conv":
                self.layers[str(op.output)] = nn.Conv2d(
                    f["fan_in"],
                    f["fan_out"],
                    f["kernel"],
                    f["stride"],
                    f["kernel"] // 2,
                    groups=f["groups"],
                )
            elif op.kind == "connected":
                self.layers[str(op.output)] = nn.Linear(f["fan_in"], f["fan_out"])

    def _normalize(self, layer: Any, y: torch.Tensor) -> None:
        """Scale a layer so that its output has unit variance and about zero mean a channel."""
        if self.network.constant:
            with torch.no_grad():
                layer.weight.fill_(1.0 / layer.weight[0].numel())
                layer.bias.zero_()
            return
        axes = (0, 2, 3) if y.dim() == 4 and y.shape[2] > 1 else tuple(range(y.dim()))
        deviation = y.std(dim=axes, keepdim=True).clamp_min(1e-3)
        mean = y.mean(dim=axes, keepdim=True)
        with torch.no_grad():
            each = deviation.flatten().expand(layer.weight.shape[0])
            layer.weight.div_(each.view(-1, *[1] * (layer.weight.dim() - 1)))
            noise = 0.2 * torch.randn(layer.bias.shape)
            layer.bias.copy_((layer.bias - mean.flatten()) / each + noise)

    def forward(self, x: torch.Tensor) -> Any:
        """Run the ops in order."""
        values: dict[int, torch.Tensor] = {0: x}
        for op in self.network.ops:
            a = [values[i] for i in op.inputs]
            if op.kind in ("conv", "connected"):
                layer = self.layers[str(op.output)]
                if op.kind == "connected":
                    a[0] = a[0].flatten(1)
                if self.initializing:
                    self._normalize(layer, layer(a[0]))
                y = layer(a[0])
            else:
                y = self._plain(op.kind, op.fields, a, self.network.shape[op.output])
            values[op.output] = y
        found = tuple(values[output] for output in self.network.outputs)
        return found[0] if len(found) == 1 else found

    @staticmethod
    def _plain(
        kind: str, f: dict[str, Any], a: list[torch.Tensor], shape: tuple[int, ...]
    ) -> torch.Tensor:
        if kind == "act":
            return ACTIVATIONS[f["function"]](a[0])
        if kind == "add":
            return a[0] + a[1]
        if kind == "mul":
            return a[0] * a[1]
        if kind == "average":
            return functional.adaptive_avg_pool2d(a[0], 1)
        if kind == "max_pool":
            return functional.max_pool2d(a[0], f["kernel"], f["stride"], f["kernel"] // 2)
        if kind == "concat":
            return torch.cat(a, 1)
        if kind == "slice":
            return a[0][:, f["begin"] : f["end"]]
        if kind == "shuffle":
            c, h, w = shape
            return a[0].view(-1, 2, c // 2, h, w).transpose(1, 2).reshape(-1, c, h, w)
        if kind == "upsample":
            return functional.interpolate(a[0], scale_factor=2.0, mode="nearest")
        assert kind == "flatten_concat"
        return torch.cat([t.flatten(2) for t in a], 2)


def make_onnx(folder: Path, name: str, network: Network) -> None:
    """Write the weights, the fp32 ONNX file and what pnnx reads."""
    net = Net(network).eval()
    x = torch.from_numpy(pictures(network.size, 2))
    with torch.no_grad():
        net.initializing = True
        net(x)
        net.initializing = False
        weights = {key.split(".", 1)[1]: value.numpy() for key, value in net.state_dict().items()}
        np.savez(folder / f"{name}.npz", **weights)
        torch.onnx.export(
            net,
            x[:1],
            str(folder / f"{name}.onnx"),
            input_names=["x"],
            output_names=[f"y{i}" for i in range(len(network.outputs))],
            opset_version=17,
            dynamo=False,
        )
        (folder / f"pnnx_{name}").mkdir(exist_ok=True)
        torch.jit.trace(net, x[:1]).save(str(folder / f"pnnx_{name}" / f"{name}.pt"))


def make_qdq(folder: Path, name: str, network: Network) -> None:
    """Write the QDQ files."""
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = folder / f"{name}.pre.onnx"
    quant_pre_process(str(folder / f"{name}.onnx"), str(prepared), skip_symbolic_shape=True)

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        """Hands the calibration pictures over one by one."""

        def __init__(self) -> None:
            self.left = iter(pictures(network.size, CALIBRATION, seed=1))

        def get_next(self) -> dict[str, Any] | None:
            x = next(self.left, None)
            return None if x is None else {"x": x[None]}

    types = {"u8s8": quantization.QuantType.QUInt8, "s8s8": quantization.QuantType.QInt8}
    for tag, activation in types.items():
        quantization.quantize_static(
            str(prepared),
            str(folder / f"{name}.qdq_{tag}.onnx"),
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            weight_type=quantization.QuantType.QInt8,
            activation_type=activation,
            calibrate_method=quantization.CalibrationMethod.MinMax,
            extra_options={"ActivationSymmetric": tag == "s8s8"},
        )
    prepared.unlink()


def _run(command: list[str], folder: Path, log: Path) -> None:
    with open(log, "w", encoding="utf-8") as out:
        subprocess.run(command, check=True, cwd=folder, stdout=out, stderr=subprocess.STDOUT)


def make_mnn(folder: Path, name: str, network: Network) -> None:
    """Write the MNN files through the extension module.

    The package's own console scripts are not used: importing them installs a package and reports
    usage to a server.
    """
    import cv2

    shown = folder / f"calib_{network.size}"
    shown.mkdir(exist_ok=True)
    for i, x in enumerate(pictures(network.size, CALIBRATION, seed=1)):
        pixels = np.clip(x.transpose(1, 2, 0) * 58 + 118, 0, 255).astype(np.uint8)
        cv2.imwrite(str(shown / f"{i}.png"), pixels)
    settings = {
        "format": "RGB", "mean": [118.0] * 3, "normal": [1 / 58.0] * 3, "width": network.size,
        "height": network.size, "path": f"{shown}/", "used_image_num": CALIBRATION,
        "feature_quantize_method": "KL", "weight_quantize_method": "MAX_ABS", "batch_size": 1,
    }  # fmt: skip
    (folder / f"{name}.mnnq.json").write_text(json.dumps(settings), encoding="utf-8")
    code = (
        "import _tools as T, sys\nn = sys.argv[1]\n"
        "T.mnnconvert(['mnnconvert', '-f', 'ONNX', '--modelFile', n + '.onnx', '--MNNModel',"
        " n + '.mnn', '--bizCode', 'b'])\n"
        "T.mnnquant(['mnnquant', n + '.mnn', n + '.int8.mnn', n + '.mnnq.json'])\n"
    )
    _run([sys.executable, "-c", code, name], folder, folder / f"{name}.mnn.log")


def make_ncnn(folder: Path, name: str, network: Network) -> None:
    """Write the ncnn files: pnnx, then quantize_ncnn.py."""
    import quantize_ncnn

    own, plain = folder / f"pnnx_{name}", folder / f"{name}.ncnn"
    command = [os.path.join(os.path.dirname(sys.executable), "pnnx"), str(own / f"{name}.pt")]
    command += [f"inputshape=[1,3,{network.size},{network.size}]", "fp16=0"]
    command += [f"ncnnparam={plain}.param", f"ncnnbin={plain}.bin"]
    _run(command, own, folder / f"{name}.pnnx.log")
    calibration = pictures(network.size, CALIBRATION // 2, seed=1)
    quantize_ncnn.quantize(str(plain), str(folder / f"{name}.int8.ncnn"), calibration)


STAGES = {"onnx": make_onnx, "qdq": make_qdq, "mnn": make_mnn, "ncnn": make_ncnn}


def main() -> int:
    """Make what is asked for, going on after a failure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--models", default="all")
    parser.add_argument("--stages", default=",".join(STAGES))
    options = parser.parse_args()
    folder: Path = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    info, good = {}, True
    for name, make in EVERYTHING.items():
        network = make()
        info[name] = {"macs": network.macs, "params": network.parameters, "hw": network.size}
        if options.models != "all" and name not in options.models.split(","):
            continue
        for stage in options.stages.split(","):
            start = time.monotonic()
            try:
                STAGES[stage](folder, name, network)
                print(f"{name} {stage}: {time.monotonic() - start:.1f} s", flush=True)
            except Exception:
                traceback.print_exc()
                print(f"{name} {stage}: FAILED", flush=True)
                good = False
    (folder / "info.json").write_text(json.dumps(info, indent=1) + "\n", encoding="utf-8")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
