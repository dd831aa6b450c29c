"""Makes the small TFLite networks beside it, and what LiteRT's reference kernels compute.

    python tests/data/tflite/make.py    (needs tensorflow)

Beside NAME.tflite, NAME.npz holds an input and every tensor of a run on it: "names", and the
tensor of names[i] as "t<i>".
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.keras import layers

HERE = Path(__file__).resolve().parent
SIZE = 13


def mobile():
    """Convolutions of both paddings, residual addition, pools, dense layer, softmax."""
    x = first = layers.Input((SIZE, SIZE, 3), batch_size=1)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = short = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu6")(x)
    x = layers.Add()([layers.Conv2D(8, 1)(x), short])
    x = layers.ZeroPadding2D(((0, 1), (0, 1)))(x)
    x = layers.DepthwiseConv2D(3, strides=2, padding="valid", depth_multiplier=2)(x)
    x = layers.Conv2D(12, 3, dilation_rate=2, padding="same", activation="relu")(x)
    x = layers.AveragePooling2D(2, strides=1, padding="same")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return tf.keras.Model(first, layers.Dense(10, activation="softmax")(x))


def swish():
    """Hard swish, squeeze and excitation, concatenation, resizing, slices, logistic."""
    x = first = layers.Input((SIZE, SIZE, 3), batch_size=1)
    x = layers.Conv2D(8, 3, strides=2, padding="same")(x)
    x = x * tf.keras.ops.relu6(x + 3.0) / 6.0
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(8, 1)(layers.Conv2D(4, 1, activation="relu")(gate))
    x = x * (tf.keras.ops.relu6(gate + 3.0) / 6.0)
    small = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    small = layers.UpSampling2D(2, interpolation="bilinear")(small)
    near = layers.MaxPooling2D(2, padding="same")(x)
    near = tf.keras.ops.image.resize(near, (8, 8), interpolation="nearest")
    x = layers.Concatenate()([small, near])
    x = layers.Conv2D(6, 3, activation="sigmoid")(x)
    x = layers.Subtract()([x[:, 1:5, ::2, :], x[:, 2:6, ::2, :]])
    x = layers.Permute((3, 1, 2))(x)
    return tf.keras.Model(first, layers.Dense(5)(layers.Flatten()(x)))


def decode():
    """PReLU, blocks of pixels to channels and back, transposed convolutions of both paddings."""
    x = first = layers.Input((SIZE, SIZE, 3), batch_size=1)
    x = layers.PReLU(shared_axes=[1, 2])(layers.Conv2D(8, 2)(x))
    x = layers.Lambda(lambda each: tf.nn.space_to_depth(each, 2))(x)
    x = layers.PReLU(shared_axes=[1, 2])(layers.Conv2D(8, 1)(x))
    x = layers.Conv2DTranspose(6, 3, strides=2, padding="same")(x)
    x = layers.Conv2D(8, 3, activation="relu")(x)
    x = layers.Lambda(lambda each: tf.nn.depth_to_space(each, 2))(x)
    x = layers.Conv2DTranspose(4, (2, 1), strides=2, padding="valid", activation="relu")(x)
    return tf.keras.Model(first, layers.Conv2D(3, 3, strides=2)(x))


def samples(count: int, seed: int):
    """Inputs."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        yield [random.normal(size=(1, SIZE, SIZE, 3)).astype(np.float32)]


def prepare(model) -> None:
    """Statistics and biases that are not those of a new network."""
    random = np.random.default_rng(5)
    for layer in model.layers:
        values = layer.get_weights()
        for i, value in enumerate(values):
            if value.ndim == 1:
                values[i] = value + random.uniform(0.05, 0.3, value.shape).astype(np.float32)
            if isinstance(layer, layers.PReLU):
                values[i] = random.uniform(-0.3, 0.6, value.shape).astype(np.float32)
        layer.set_weights(values)


def convert(model, kind: str) -> bytes:
    """The file of one kind."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if kind != "float":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "fp16":
        converter.target_spec.supported_types = [tf.float16]
    if kind in ("int8", "uint8", "int8_inside"):
        converter.representative_dataset = lambda: samples(32, 1)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        outside = tf.float32 if kind == "int8_inside" else getattr(tf, kind)
        converter.inference_input_type = converter.inference_output_type = outside
    if kind == "int16":
        ops = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.representative_dataset = lambda: samples(32, 1)
        converter.target_spec.supported_ops = [ops]
    if kind == "sparse":
        converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    return converter.convert()


def store(name: str, data: bytes) -> None:
    """Writes the file and what the reference kernels make of an input."""
    (HERE / f"{name}.tflite").write_bytes(data)
    kinds = tf.lite.experimental.OpResolverType
    # The reference kernels lack DEPTH_TO_SPACE of integers.
    resolver = kinds.BUILTIN_REF
    if name.startswith("decode"):
        resolver = kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    run = tf.lite.Interpreter(
        model_content=data,
        experimental_op_resolver_type=resolver,
        experimental_preserve_all_tensors=True,
    )
    run.allocate_tensors()
    entry = run.get_input_details()[0]
    x = next(samples(1, 9))[0]
    if entry["dtype"] != np.float32:
        scale, zero = entry["quantization"]
        kind = np.iinfo(entry["dtype"])
        x = np.clip(np.rint(x / scale) + zero, kind.min, kind.max).astype(entry["dtype"])
    run.set_tensor(entry["index"], x)
    run.invoke()
    names, arrays = [], {}
    for tensor in run.get_tensor_details():
        try:
            value = run.get_tensor(tensor["index"])
        except ValueError:  # temporary tensors of kernels
            continue
        arrays[f"t{len(names)}"] = value
        names.append(tensor["name"])
    np.savez_compressed(HERE / f"{name}.npz", names=np.array(names), **arrays)
    ops = [op["op_name"] for op in run._get_ops_details()]
    print(name, len(data), ops)


def main() -> None:
    """Makes all files."""
    tf.keras.utils.set_random_seed(1)
    nets = {"mobile": mobile(), "swish": swish(), "decode": decode()}
    for model in nets.values():
        prepare(model)
    for kind in ("float", "fp16", "dynamic", "int8", "uint8", "int8_inside", "int16"):
        store(f"mobile_{kind}", convert(nets["mobile"], kind))
    for name in ("swish", "decode"):
        for kind in ("float", "int8"):
            store(f"{name}_{kind}", convert(nets[name], kind))
    for layer in nets["mobile"].layers:  # zeros in blocks, which the converter makes sparse
        values = layer.get_weights()
        for value in values:
            if value.ndim > 1:
                flat = value.reshape(value.shape[0] if value.ndim == 2 else -1, value.shape[-1])
                flat[np.random.default_rng(2).random(flat.shape) < 0.9] = 0
        layer.set_weights(values)
    store("mobile_sparse", convert(nets["mobile"], "sparse"))


if __name__ == "__main__":
    main()
