"""Constants that ONNX stores sparse: initializers, and values of Constant."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecv.errors import FormatError
from edgecv.onnx.importer import import_model

SHAPE = (4, 3, 2, 2)


def weights() -> Any:
    rng = np.random.default_rng(0)
    data = rng.normal(size=SHAPE).astype(np.float32)
    return np.where(rng.random(SHAPE) < 0.8, np.float32(0), data)


def sparse(dense: Any, flat: bool, name: str = "w") -> Any:
    places = np.flatnonzero(dense)
    indices = places if flat else np.stack(np.unravel_index(places, dense.shape), 1)
    values = numpy_helper.from_array(dense.reshape(-1)[places], name)
    return helper.make_sparse_tensor(
        values, numpy_helper.from_array(indices.astype(np.int64)), list(dense.shape)
    )


def model(stored: Any, as_node: bool = False) -> onnx.ModelProto:
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], "conv")]
    if as_node:
        nodes.insert(0, helper.make_node("Constant", [], ["w"], sparse_value=stored))
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", [1, 3, 5, 5]), ("y", None))
    ]
    graph = helper.make_graph(
        nodes, "g", ports[:1], ports[1:], sparse_initializer=[] if as_node else [stored]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("as_node", [False, True])
@pytest.mark.parametrize("flat", [False, True])
def test_made_dense(flat: bool, as_node: bool) -> None:
    dense = weights()
    graph = import_model(model(sparse(dense, flat), as_node))
    data = graph.values[graph.nodes[0].inputs[1]].data
    np.testing.assert_array_equal(data, dense)


@pytest.mark.parametrize("what", ["beyond", "negative", "count", "rank", "dims", "huge"])
def test_parts_that_do_not_fit(what: str) -> None:
    stored = sparse(weights(), what != "rank")
    indices = numpy_helper.to_array(stored.indices).copy()
    if what == "beyond":
        indices[-1] = 48
    elif what == "negative":
        indices[0] = -1
    elif what == "count":
        indices = indices[:-1]
    elif what == "rank":
        indices = indices[:, :3]
    stored.indices.CopyFrom(numpy_helper.from_array(indices))
    if what == "dims":
        stored.dims[0] = 0
    elif what == "huge":
        stored.dims[0] = 1 << 40
    with pytest.raises(FormatError, match="the sparse constant 'w'") as caught:
        import_model(model(stored))
    assert "\n" not in str(caught.value)
