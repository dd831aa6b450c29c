"""Quantize an ncnn .param/.bin pair to int8 in Python, as ncnn's own tools (not in its wheel) do.

Weights per channel and activations per tensor by their largest magnitude, activations measured by
running the float net; a convolution that feeds convolutions alone requantizes its output.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterable

import ncnn
import numpy as np

_CONVOLUTIONS = ("Convolution", "ConvolutionDepthWise")
_QUANTIZED = (*_CONVOLUTIONS, "InnerProduct")
_UNKNOWN_WEIGHTS = ("BatchNorm", "Scale", "PReLU", "MemoryData", "Deconvolution", "Gemm")
_INT8_TAG = 0x000D4B38


class _Layer:
    """A line of the .param file, with the weights that belong to it."""

    def __init__(self, line: str) -> None:
        words = line.split()
        self.type, self.name, inputs, outputs = words[0], words[1], int(words[2]), int(words[3])
        self.inputs = words[4 : 4 + inputs]
        self.outputs = words[4 + inputs : 4 + inputs + outputs]
        self.fields = dict(word.split("=", 1) for word in words[4 + inputs + outputs :])
        self.weights: Any = None
        self.bias: Any = None

    def line(self) -> str:
        head = f"{self.type:24s} {self.name:24s} {len(self.inputs)} {len(self.outputs)}"
        fields = [f"{key}={value}" for key, value in self.fields.items()]
        return " ".join([head, *self.inputs, *self.outputs, *fields])


def _read(source: str) -> tuple[list[str], list[_Layer]]:
    lines = Path(source + ".param").read_text(encoding="ascii").splitlines()
    layers = [_Layer(line) for line in lines[2:] if line.strip()]
    data, at = Path(source + ".bin").read_bytes(), 0

    def floats(count: int) -> Any:
        nonlocal at
        values = np.frombuffer(data, "<f4", count, at)
        at += 4 * count
        return values

    for layer in layers:
        if layer.type in _UNKNOWN_WEIGHTS:
            raise ValueError(f"no rule for the weights of {layer.type}")
        if layer.type not in _QUANTIZED:
            continue
        bias, count = ("1", "2") if layer.type == "InnerProduct" else ("5", "6")
        if floats(1).view("<u4")[0] != 0:
            raise ValueError("weights are not plain f32: run pnnx with fp16=0")
        layer.weights = floats(int(layer.fields[count]))
        if int(layer.fields.get(bias, 0)):
            layer.bias = floats(int(layer.fields["0"]))
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes of weights are left over")
    return lines[:2], layers


def _ranges(source: str, layers: list[_Layer], pictures: Iterable[Any]) -> dict[str, float]:
    """Return the largest magnitude of every quantized layer's input."""
    net = ncnn.Net()
    net.opt.lightmode = False
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = False
    net.opt.use_fp16_arithmetic = net.opt.use_bf16_storage = False
    net.load_param(source + ".param")
    net.load_model(source + ".bin")
    found: dict[str, float] = {}
    for picture in pictures:
        extractor = net.create_extractor()
        extractor.set_light_mode(False)
        extractor.input("in0", ncnn.Mat(picture).clone())
        for layer in layers:
            if layer.weights is not None:
                name = layer.inputs[0]
                largest = float(np.abs(np.array(extractor.extract(name)[1])).max())
                found[name] = max(found.get(name, 1e-6), largest)
    return found


def _requantized(layer: _Layer, readers: dict[str, list[_Layer]]) -> str | None:
    """Return the blob whose scale the layer's output takes, None when it stays float."""
    if layer.type == "InnerProduct":
        return None
    following = readers.get(layer.outputs[0], [])
    if len(following) == 1 and following[0].type == "Split":
        following = [reader for out in following[0].outputs for reader in readers.get(out, [])]
    if following and all(reader.type in _CONVOLUTIONS for reader in following):
        return following[0].inputs[0]
    return None


def quantize(source: str, target: str, pictures: Any) -> None:
    """Write ``target``.param and .bin from ``source``.param and .bin."""
    head, layers = _read(source)
    ranges = _ranges(source, layers, pictures)
    readers: dict[str, list[_Layer]] = {}
    for layer in layers:
        for name in layer.inputs:
            readers.setdefault(name, []).append(layer)
    out = bytearray()
    for layer in layers:
        if layer.weights is None:
            continue
        matrix = layer.weights.reshape(int(layer.fields["0"]), -1)
        scales = (127.0 / np.maximum(np.abs(matrix).max(1), 1e-9)).astype("<f4")
        rounded = np.clip(np.rint(matrix * scales[:, None]), -127, 127).astype(np.int8).tobytes()
        blob = _requantized(layer, readers)
        term = 1 if layer.type == "ConvolutionDepthWise" else 2
        layer.fields["8"] = str(term + (100 if blob is not None else 0))
        out += np.uint32(_INT8_TAG).tobytes() + rounded + b"\0" * (-len(rounded) % 4)
        if layer.bias is not None:
            out += layer.bias.tobytes()
        out += scales.tobytes() + np.float32(127.0 / ranges[layer.inputs[0]]).tobytes()
        if blob is not None:
            out += np.float32(127.0 / ranges[blob]).tobytes()
    text = "\n".join([*head, *(layer.line() for layer in layers)]) + "\n"
    Path(target + ".param").write_text(text, encoding="ascii")
    Path(target + ".bin").write_bytes(bytes(out))
