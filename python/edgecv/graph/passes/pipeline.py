"""The order of the passes: the only place where it is decided."""

from __future__ import annotations

import logging
from typing import Callable, Dict, Sequence, Tuple

from edgecv.graph.ir import Graph
from edgecv.graph.passes.declutter.adopt_quantization import adopt_quantization
from edgecv.graph.passes.declutter.canonicalize_gemm import canonicalize_gemm
from edgecv.graph.passes.declutter.canonicalize_reshape import canonicalize_reshape
from edgecv.graph.passes.declutter.expand_compound import expand_compound
from edgecv.graph.passes.declutter.expand_moves import expand_moves
from edgecv.graph.passes.declutter.fold_affine import fold_affine
from edgecv.graph.passes.declutter.fold_batchnorm import fold_batchnorm
from edgecv.graph.passes.declutter.fold_pads import fold_pads
from edgecv.graph.passes.declutter.fuse_gelu import fuse_gelu
from edgecv.graph.passes.declutter.fuse_hard_sigmoid import fuse_hard_sigmoid
from edgecv.graph.passes.declutter.fuse_hard_swish import fuse_hard_swish
from edgecv.graph.passes.declutter.fuse_layer_norm import fuse_layer_norm
from edgecv.graph.passes.declutter.fuse_silu import fuse_silu
from edgecv.graph.passes.declutter.remove_identities import remove_identities
from edgecv.graph.passes.declutter.resolve_windows import resolve_windows
from edgecv.graph.passes.declutter.simplify_arithmetic import simplify_arithmetic
from edgecv.graph.passes.declutter.trim_outputs import trim_outputs
from edgecv.graph.passes.declutter.upgrade_opset import upgrade_opset
from edgecv.graph.passes.lower.cancel_moves import cancel_moves
from edgecv.graph.passes.lower.fuse_bias import fuse_bias
from edgecv.graph.passes.lower.fuse_clamps import fuse_clamps
from edgecv.graph.passes.lower.lower_graph import check, lower_graph
from edgecv.graph.passes.rewrite import Result

_LOG = logging.getLogger("edgecv")
Pass = Callable[[Graph], Result]

DECLUTTER: Tuple[Pass, ...] = (
    adopt_quantization,
    trim_outputs,
    upgrade_opset,
    resolve_windows,
    remove_identities,
    canonicalize_reshape,
    simplify_arithmetic,
    # Patterns first: folding a bias into a layer would take their constants away.
    fuse_hard_sigmoid,
    fuse_hard_swish,
    fuse_silu,
    fuse_gelu,
    fuse_layer_norm,
    expand_compound,
    expand_moves,
    canonicalize_gemm,
    fold_batchnorm,
    fold_affine,
    fold_pads,
)
LOWERED: Tuple[Pass, ...] = (
    cancel_moves,
    fuse_bias,
    fuse_clamps,
)
_MOST_ROUNDS = 50


def declutter(graph: Graph) -> Graph:
    """Simplify a graph of ONNX ops in place, until nothing changes; returns it.

    The result is still expressible as ONNX. Raises UnsupportedModelError that lists every node
    which cannot be lowered.
    """
    check(graph, run(graph, DECLUTTER))
    return graph


def lower(graph: Graph) -> Graph:
    """Return the lowered f32 graph of a decluttered one, which is left as it is."""
    lowered = lower_graph(graph)
    run(lowered, LOWERED)
    return lowered


def run(graph: Graph, passes: Sequence[Pass]) -> Dict[str, str]:
    """Runs passes in order, again and again until none changes the graph.

    Returns node name -> why a pass left it alone, of the last round.
    """
    for _ in range(_MOST_ROUNDS):
        changed = False
        refusals: Dict[str, str] = {}
        for one in passes:
            result = one(graph)
            changed |= result.changed
            for name, reason in result.refusals:
                _LOG.debug("%s leaves %s: %s", one.__name__, name, reason)
                refusals.setdefault(name, reason)
        if not changed:
            return refusals
    raise AssertionError(f"the passes over {graph.name!r} do not come to an end")
