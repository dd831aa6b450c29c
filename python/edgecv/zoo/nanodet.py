"""NanoDet at 416 x 416 for the 80 classes of COCO, as an ONNX graph.

The weights are those of a TensorFlow.js graph model. Its outputs are, for each of three grids of
cells (52, 26 and 13 on a side, of 8, 16 and 32 pixels), the classes' scores from 0 to 1, and the
logits of the distances from a cell's centre to the left, top, right and bottom of its box: eleven
each, whose softmax weighs 0 to 10 cells.
"""

from __future__ import annotations

from edgecv.zoo.tfjs import GraphModel
from edgecv.zoo.tfjs_graph import Translator

SIZE = 416
CLASSES = 80
STRIDES = (8, 16, 32)
BINS = 11

_OUTPUTS = {
    "Identity": "scores8",
    "Identity_1": "scores16",
    "Identity_2": "scores32",
    "Identity_3": "distances8",
    "Identity_4": "distances16",
    "Identity_5": "distances32",
}


def build_nanodet(model: GraphModel) -> bytes:
    """Return the serialized ONNX model: input 1x3x416x416 float32, outputs ``scores8`` (1x2704x80),
    ``scores16``, ``scores32``, ``distances8`` (1x2704x44), ``distances16``, ``distances32``.

    Raises FormatError when the model is damaged or has something a plain detector has not.
    """
    return Translator("nanodet", model, _OUTPUTS).translate()
