#!/usr/bin/env python3
"""Convert the zoo's MobileNetV2 by TensorFlow into int8 TFLite files, and note what LiteRT's
reference kernels make of the pictures: FOLDER/tflite_KIND.tflite and .npz.

    pip install tensorflow    (2.21)
    python tflite_files.py WEIGHTS.npz PICTURES.npz FOLDER

WEIGHTS.npz holds the initializers of the zoo's ONNX file by their names, PICTURES.npz is what
``imported.py --save`` writes. The network is built in Keras with these weights.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.keras import layers

STAGES = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
    (6, 320, 1, 1),
)  # fmt: skip
KINDS = ("int8", "uint8", "int8_tensor")


def build(weights: Any) -> Any:
    """MobileNetV2 in Keras."""
    given: list[tuple[Any, list[Any]]] = []

    def block(x: Any, conv: str, norm: str, k: int, stride: int, depthwise: bool, act: bool) -> Any:
        w = weights[f"{conv}.weight"]
        padding = "valid" if stride == 2 or k == 1 else "same"
        if stride == 2:
            x = layers.ZeroPadding2D(1)(x)
        options = {"strides": stride, "padding": padding, "use_bias": False}
        if depthwise:
            layer = layers.DepthwiseConv2D(k, **options)
            given.append((layer, [w.transpose(2, 3, 0, 1)]))
        else:
            layer = layers.Conv2D(w.shape[0], k, **options)
            given.append((layer, [w.transpose(2, 3, 1, 0)]))
        after = layers.BatchNormalization(epsilon=1e-5)
        parts = ("weight", "bias", "running_mean", "running_var")
        given.append((after, [weights[f"{norm}.{part}"] for part in parts]))
        x = after(layer(x))
        return layers.ReLU(6.0)(x) if act else x

    first = layers.Input((224, 224, 3), batch_size=1)
    x = block(first, "features.0.0", "features.0.1", 3, 2, False, True)
    width, index = 32, 1
    for factor, outputs, count, stride in STAGES:
        for i in range(count):
            base, y, at = f"features.{index}.conv.", x, 0
            if factor != 1:
                y, at = block(y, f"{base}0.0", f"{base}0.1", 1, 1, False, True), 1
            step = 1 if i else stride
            y = block(y, f"{base}{at}.0", f"{base}{at}.1", 3, step, True, True)
            y = block(y, f"{base}{at + 1}", f"{base}{at + 2}", 1, 1, False, False)
            x = layers.Add()([x, y]) if step == 1 and width == outputs else y
            width, index = outputs, index + 1
    x = block(x, "features.18.0", "features.18.1", 1, 1, False, True)
    head = layers.Dense(1000)
    given.append((head, [weights["classifier.1.weight"].T, weights["classifier.1.bias"]]))
    model = tf.keras.Model(first, head(layers.GlobalAveragePooling2D()(x)))
    for layer, values in given:
        layer.set_weights(values)
    return model


def convert(model: Any, kind: str, calibration: Any) -> bytes:
    """The file of one kind."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([x[None]] for x in calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    outside = tf.uint8 if kind == "uint8" else tf.int8
    converter.inference_input_type = converter.inference_output_type = outside
    converter._experimental_disable_per_channel = kind == "int8_tensor"
    return bytes(converter.convert())


def record(data: bytes, pictures: Any) -> dict[str, Any]:
    """Every 8-bit tensor of every picture."""
    run = tf.lite.Interpreter(
        model_content=data,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    run.allocate_tensors()
    entry, end = run.get_input_details()[0], run.get_output_details()[0]
    scale, zero = entry["quantization"]
    kind = np.iinfo(entry["dtype"])
    found: dict[str, Any] = {}
    names: list[str] = []
    for at, picture in enumerate(pictures):
        x = np.clip(np.rint(picture[None] / scale) + zero, kind.min, kind.max)
        run.set_tensor(entry["index"], x.astype(entry["dtype"]))
        run.invoke()
        found[f"{at}|input"] = x.astype(entry["dtype"])
        found[f"{at}|output"] = run.get_tensor(end["index"])
        names = []
        for tensor in run.get_tensor_details():
            try:
                value = run.get_tensor(tensor["index"])
            except ValueError:  # temporary tensors of kernels
                continue
            if value.dtype in (np.int8, np.uint8) and value.shape[:1] == (1,):
                found[f"{at}|{len(names)}"] = value
            names.append(tensor["name"])
    return {"names": np.array(names), **found}


def main() -> None:
    """Makes all files."""
    weights, pictures, folder = sys.argv[1:4]
    with np.load(pictures) as file:
        calibration, shown = (file[key].transpose(0, 2, 3, 1) for key in ("calib", "pics"))
    model = build(np.load(weights))
    for kind in KINDS:
        data = convert(model, kind, calibration)
        path = Path(folder, f"tflite_{kind}.tflite")
        path.write_bytes(data)
        np.savez(path.with_suffix(".npz"), **record(data, shown))
        print(path, len(data), flush=True)


if __name__ == "__main__":
    main()
