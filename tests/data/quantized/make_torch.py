"""Makes the models that PyTorch's graph modes write, of the network of make.py.

    pip install torch torchao onnx onnxscript    (PyTorch 2.13 and torchao 0.18 made those stored)
    python tests/data/quantized/make_torch.py

- ``torch_fx.onnx``: FX graph mode, converted to integer modules, 7-bit activations.
- ``torch_fx_reference.onnx``: FX graph mode, float modules between roundings.
- ``torch_pt2e.onnx``: PT2E by torchao with the quantizer for x86, exported by torch.export.

Each NAME.npy holds what PyTorch itself computes of the first input of the tests.
"""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
import onnx
import torch
from make import FOLDER, float_net, save
from torch.ao.quantization import get_default_qconfig_mapping, quantize_fx
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86


def pictures(count: int, seed: int) -> list[Any]:
    """Inputs, as the tests make them."""
    rng = np.random.default_rng(seed)
    return [
        torch.from_numpy(rng.normal(size=(1, 3, 32, 32)).astype(np.float32)) for _ in range(count)
    ]


def write(net: Any, name: str, dynamo: bool = False) -> None:
    """Writes a network as ONNX, and its answer."""
    first = pictures(1, 3)
    with torch.no_grad():
        np.save(FOLDER / f"{name}.npy", net(*first).numpy())
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        options = {"input_names": ["input"], "output_names": ["logits"], "dynamo": dynamo}
        program = torch.onnx.export(
            net, tuple(first), None if dynamo else file.name,
            opset_version=21 if dynamo else 13, **options,
        )  # fmt: skip
        if dynamo:
            program.save(file.name)
        model = onnx.load(file.name)
    del model.graph.value_info[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    del model.functions[:]
    save(model, f"{name}.onnx")


def fx(engine: str) -> Any:
    """A calibrated model of FX graph mode."""
    mapping = get_default_qconfig_mapping(engine)
    net = quantize_fx.prepare_fx(float_net(), mapping, (pictures(1, 1)[0],))
    for x in pictures(8, 1):
        net(x)
    return net


def pt2e() -> Any:
    """A converted PT2E model."""
    net = torch.export.export(float_net(), (pictures(1, 1)[0],)).module()
    quantizer = x86.X86InductorQuantizer()
    quantizer.set_global(x86.get_default_x86_inductor_quantization_config())
    net = prepare_pt2e(net, quantizer)
    for x in pictures(8, 1):
        net(x)
    return convert_pt2e(net)


def main() -> None:
    """Writes all files."""
    torch.manual_seed(0)
    torch.backends.quantized.engine = "fbgemm"
    with torch.no_grad():
        write(quantize_fx.convert_fx(fx("fbgemm")), "torch_fx")
        reference = quantize_fx.convert_to_reference_fx(fx("qnnpack"))
        write(torch.jit.trace(reference, pictures(1, 1)[0]), "torch_fx_reference")
        write(pt2e(), "torch_pt2e", dynamo=True)


if __name__ == "__main__":
    main()
