"""The ops of docs/ops.md as the converter knows them: ``OPS`` maps a name to its definition."""

from __future__ import annotations

from typing import Dict

from edgecv.graph.ops import conv, elementwise, matmul, move, normalize, pool, resize, unary
from edgecv.graph.ops.base import OpDef, OpError

OPS: Dict[str, OpDef] = {
    op.name: op
    for module in (conv, matmul, elementwise, unary, normalize, pool, move, resize)
    for op in module.OPS
}

__all__ = ["OPS", "OpDef", "OpError"]
