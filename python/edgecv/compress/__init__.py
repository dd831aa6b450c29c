"""Makes float ONNX models smaller before they are converted: pruning, low rank, sharing, zeros.

Every function takes a model (path, bytes or onnx.ModelProto) and returns a new onnx.ModelProto with
the same inputs and outputs, and a report. docs/compression.md describes them.
"""

from edgecv.compress.compensate import observe
from edgecv.compress.latency import prune_by_latency
from edgecv.compress.look import look
from edgecv.compress.lowrank import factorize
from edgecv.compress.prune import prune
from edgecv.compress.share import share
from edgecv.compress.sparsify import sparsify

__all__ = ["factorize", "look", "observe", "prune", "prune_by_latency", "share", "sparsify"]
