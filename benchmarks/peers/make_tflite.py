#!/usr/bin/env python3
"""Make the LiteRT models: fp32 and full int8 (per-channel weights) from the weights in NAME.npz.

The second stage of ``make_models.sh``, in an environment of its own with TensorFlow.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from networks import EVERYTHING, Network, Op, pictures

CALIBRATION = 8


def _activation(x: Any, kind: str) -> Any:
    if kind == "relu":
        return tf.nn.relu(x)
    if kind == "relu6":
        return tf.nn.relu6(x)
    if kind == "silu":
        return x * tf.sigmoid(x)
    gate = tf.nn.relu6(x + 3.0) * (1 / 6.0)
    return x * tf.nn.relu6(x + 3.0) * (1 / 6.0) if kind == "hswish" else gate


def _apply(op: Op, a: list[Any], weights: dict[str, Any], shape: tuple[int, ...]) -> Any:
    f = op.fields
    if op.kind == "conv":
        w, s = weights[f"{op.output}.weight"], f["stride"]
        if f["groups"] == 1:
            y = tf.nn.conv2d(a[0], w.transpose(2, 3, 1, 0), s, "SAME")
        else:
            y = tf.nn.depthwise_conv2d(a[0], w.transpose(2, 3, 0, 1), [1, s, s, 1], "SAME")
        return tf.nn.bias_add(y, weights[f"{op.output}.bias"])
    if op.kind == "connected":
        y = tf.matmul(tf.reshape(a[0], [1, f["fan_in"]]), weights[f"{op.output}.weight"].T)
        return y + weights[f"{op.output}.bias"]
    if op.kind == "act":
        return _activation(a[0], f["function"])
    if op.kind == "add":
        return a[0] + a[1]
    if op.kind == "mul":
        return a[0] * a[1]
    if op.kind == "average":
        return tf.reduce_mean(a[0], [1, 2], keepdims=True)
    if op.kind == "max_pool":
        return tf.nn.max_pool2d(a[0], f["kernel"], f["stride"], "SAME")
    if op.kind == "concat":
        return tf.concat(a, 3)
    if op.kind == "slice":
        return a[0][:, :, :, f["begin"] : f["end"]]
    if op.kind == "shuffle":
        c, h, w = shape
        y = tf.transpose(tf.reshape(a[0], [1, h, w, 2, c // 2]), [0, 1, 2, 4, 3])
        return tf.reshape(y, [1, h, w, c])
    if op.kind == "upsample":
        nearest = tf.compat.v1.image.resize_nearest_neighbor
        return nearest(a[0], list(shape[1:]), half_pixel_centers=True)
    assert op.kind == "flatten_concat"
    return tf.concat([tf.reshape(t, [1, -1, shape[0]]) for t in a], 1)


def build(network: Network, weights: dict[str, Any]) -> Any:
    """Return the network as a tf.Module with a function ``f``."""

    def function(x: Any) -> dict[str, Any]:
        values = {0: x}
        for op in network.ops:
            inputs = [values[i] for i in op.inputs]
            values[op.output] = _apply(op, inputs, weights, network.shape[op.output])
        return {f"y{i}": values[output] for i, output in enumerate(network.outputs)}

    module = tf.Module()
    spec = tf.TensorSpec([1, network.size, network.size, 3], tf.float32, name="x")
    module.f = tf.function(function, input_signature=[spec])
    return module


def make(folder: Path, name: str) -> None:
    """Write NAME.tflite and NAME.int8.tflite."""
    network = EVERYTHING[name]()
    with np.load(folder / f"{name}.npz") as data:
        weights = {key: data[key] for key in data.files}
    module = build(network, weights)
    concrete = module.f.get_concrete_function()
    plain = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module)
    (folder / f"{name}.tflite").write_bytes(plain.convert())
    shown = pictures(network.size, CALIBRATION, seed=1).transpose(0, 2, 3, 1)
    full = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module)
    full.optimizations = [tf.lite.Optimize.DEFAULT]
    full.representative_dataset = lambda: ([picture[None]] for picture in shown)
    full.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    full.inference_input_type = full.inference_output_type = tf.int8
    (folder / f"{name}.int8.tflite").write_bytes(full.convert())


def main() -> int:
    """Make the chosen models, each in a process of its own: the converter keeps GBs of memory."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--models", default="all")
    options = parser.parse_args()
    names = list(EVERYTHING) if options.models == "all" else options.models.split(",")
    if len(names) > 1:
        command = [sys.executable, __file__, "--folder", str(options.folder), "--models"]
        codes = [subprocess.run([*command, name]).returncode for name in names]
        return max(codes)
    start = time.monotonic()
    try:
        make(options.folder, names[0])
    except Exception:
        traceback.print_exc()
        print(f"{names[0]} tflite: FAILED", flush=True)
        return 1
    print(f"{names[0]} tflite: {time.monotonic() - start:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
