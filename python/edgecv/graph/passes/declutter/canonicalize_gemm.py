"""Brings every Gemm to y = x W^T + b, and other forms to MatMul and Add.

Cases:
1. Constant B, C absent or one number per column: transA 0 (a Transpose before it if needed),
   transB 1, alpha and beta folded into B and C, C of shape [N].
2. Constant B, another C: the Gemm without C, then Add (of C times beta).
3. B computed: Transpose, MatMul, Mul by alpha, Add of C times beta, as needed.
4. MatMul of a matrix by a constant matrix -> Gemm.
5. MatMul with a vector -> MatMul with a matrix between two Reshapes.
"""

from __future__ import annotations

from typing import Any, List

import numpy as np

from edgecv.graph.ir import Graph, Node
from edgecv.graph.passes.declutter.linear import bias_of
from edgecv.graph.passes.rewrite import (
    Result,
    activation,
    constant,
    floats,
    input_name,
    ints,
    known,
    replace,
    shape_of,
)


def canonicalize_gemm(graph: Graph) -> Result:
    """Runs the pass."""
    result = Result()
    for node in list(graph.nodes):
        if node.op == "MatMul" and known(graph, node) and _with_vector(graph, node):
            result.changed = True
            continue
        if node.op == "MatMul" and known(graph, node) and _is_matrix_product(graph, node):
            node.op, node.attrs = "Gemm", {}
        if node.op != "Gemm" or not known(graph, node) or _canonical(graph, node):
            continue
        replace(graph, node, _rewrite(graph, node))
        result.changed = True
    if result.changed:
        graph.drop_unused()
    return result


def _with_vector(graph: Graph, node: Node) -> bool:
    a, b = (shape_of(graph, name) for name in node.inputs)
    if len(a) != 1 and len(b) != 1:
        return False
    nodes: List[Node] = []
    wide_a = (1, *a) if len(a) == 1 else a
    wide_b = (*b, 1) if len(b) == 1 else b
    for index, (name, shape) in enumerate(zip(node.inputs, (wide_a, wide_b))):
        data = constant(graph, name)
        if shape == shape_of(graph, name):
            continue
        if data is not None:
            node.inputs[index] = floats(graph, name, data.reshape(shape))
            continue
        node.inputs[index] = activation(graph, f"{name}.matrix", shape)
        target = ints(graph, f"{node.name}.shape", shape)
        matrix = node.inputs[index]
        nodes.append(Node("Reshape", f"{node.name}.reshape{index}", [name, target], [matrix]))
    output = node.outputs[0]
    full = (*np.broadcast_shapes(wide_a[:-2], wide_b[:-2]), wide_a[-2], wide_b[-1])
    product = activation(graph, f"{output}.matrix", full)
    back = ints(graph, f"{node.name}.shape", shape_of(graph, output))
    nodes.append(Node("MatMul", node.name, list(node.inputs), [product]))
    nodes.append(Node("Reshape", f"{node.name}.reshape", [product, back], [output]))
    replace(graph, node, nodes)
    return True


def _is_matrix_product(graph: Graph, node: Node) -> bool:
    a, b = node.inputs
    return (
        constant(graph, a) is None
        and constant(graph, b) is not None
        and len(shape_of(graph, a)) == len(shape_of(graph, b)) == 2
    )


def _canonical(graph: Graph, node: Node) -> bool:
    if node.attrs != {"transB": 1} or constant(graph, node.inputs[1]) is None:
        return False
    name = input_name(node, 2)
    if not name:
        return True
    columns = shape_of(graph, node.outputs[0])[1]
    return constant(graph, name) is not None and shape_of(graph, name) == (columns,)


def _transposed(graph: Graph, nodes: List[Node], name: str, base: str) -> str:
    data = constant(graph, name)
    if data is not None:
        return floats(graph, f"{name}.transposed", data.T)
    rows, columns = shape_of(graph, name)
    output = activation(graph, f"{base}.transposed", (columns, rows))
    nodes.append(Node("Transpose", f"{base}.transpose", [name], [output], {"perm": [1, 0]}))
    return output


def _scaled(graph: Graph, nodes: List[Node], name: str, number: float, base: str) -> str:
    if number == 1.0:
        return name
    data = constant(graph, name)
    if data is not None:
        return floats(graph, f"{name}.scaled", data.astype(np.float64) * number)
    output = activation(graph, f"{base}.scaled", shape_of(graph, name))
    factor = floats(graph, f"{base}.factor", number)
    nodes.append(Node("Mul", f"{base}.scale", [name, factor], [output]))
    return output


def _rewrite(graph: Graph, node: Node) -> List[Node]:
    alpha, beta = (float(node.attrs.get(name, 1.0)) for name in ("alpha", "beta"))
    nodes: List[Node] = []
    a, b, c = node.inputs[0], node.inputs[1], input_name(node, 2)
    shape = shape_of(graph, node.outputs[0])
    output = node.outputs[0]
    if node.attrs.get("transA", 0):
        a = _transposed(graph, nodes, a, f"{node.name}.a")
    w = constant(graph, b)
    if w is not None and constant(graph, a) is None:
        bias: Any = bias_of(graph, node) if c else None
        wide = alpha * w.astype(np.float64)
        inputs = [a, floats(graph, b, wide if node.attrs.get("transB", 0) else wide.T)]
        if bias is not None:
            inputs.append(floats(graph, c, bias))
        product = output
        if c and bias is None:
            product = activation(graph, f"{output}.product", shape)
        nodes.append(Node("Gemm", node.name, inputs, [product], {"transB": 1}))
        if product == output:
            return nodes
    else:
        if node.attrs.get("transB", 0):
            b = _transposed(graph, nodes, b, f"{node.name}.b")
        scaled = alpha == 1.0 and not c
        product = output if scaled else activation(graph, f"{output}.product", shape)
        nodes.append(Node("MatMul", node.name, [a, b], [product]))
        if alpha != 1.0:
            factor = floats(graph, f"{node.name}.alpha", alpha)
            result = activation(graph, f"{output}.alpha", shape) if c else output
            nodes.append(Node("Mul", f"{node.name}.mul", [product, factor], [result]))
            product = result
        if not c:
            return nodes
    addend = _scaled(graph, nodes, c, beta, f"{node.name}.c")
    nodes.append(Node("Add", f"{node.name}.add", [product, addend], [output]))
    return nodes
