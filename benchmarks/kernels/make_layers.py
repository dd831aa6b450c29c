#!/usr/bin/env python3
"""Write layers.inc: the distinct layers of networks, from their .ecv files.

    make_layers.py NAME.ecv... [--out layers.inc]

A layer is a line KIND(sizes..., "NETWORK:COUNT NETWORK:COUNT ..."). Files must be int8; for
float networks the bench takes the same shapes. Views (reshape, slice, concat) are no kernel calls
and left out.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Iterator

from edgecv.format import reader, to_graph
from edgecv.graph.ir import Graph, Node, Value

HEADER = """\
// The distinct layers of the networks of benchmarks/peers, made by make_layers.py; do not edit.
// CONV_LAYER(in_h, in_w, in_c, out_c, kernel_h, kernel_w, stride_h, stride_w, dilation_h,
//            dilation_w, pad_top, pad_left, pad_bottom, pad_right, groups, networks)
// BINARY_LAYER(op, pixels, channels, b_pixels, networks)   LOOKUP_LAYER(count, networks)
// POOL_LAYER(op, in_h, in_w, channels, kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left,
//            pad_bottom, pad_right, networks)              MEAN_LAYER(reduce, inner, networks)
// RESIZE_LAYER(in_h, in_w, out_h, out_w, channels, networks)
// SHUFFLE_LAYER(pixels, groups, channels of a group, networks)
// clang-format off
"""


def _pixels(value: Value) -> int:
    count = 1
    for size in value.shape[:-1]:
        count *= size
    return count


def _conv(graph: Graph, node: Node) -> str:
    x, weights = graph.values[node.inputs[0]], graph.values[node.inputs[1]]
    if node.op == "FullyConnected":
        sizes = [1, _pixels(x), x.shape[-1], weights.shape[0], *[1] * 6, *[0] * 4, 1]
    else:
        names = ("stride_h", "stride_w", "dilation_h", "dilation_w", "pad_top", "pad_left")
        names += ("pad_bottom", "pad_right", "groups")
        sizes = [*x.shape[1:], weights.shape[0], *weights.shape[1:3]]
        sizes += [node.attrs[name] for name in names]
    return f"CONV_LAYER({', '.join(map(str, sizes))}"


def _pool(graph: Graph, node: Node) -> str:
    x = graph.values[node.inputs[0]]
    names = ("kernel_h", "kernel_w", "stride_h", "stride_w")
    names += ("pad_top", "pad_left", "pad_bottom", "pad_right")
    sizes = [*x.shape[1:], *(node.attrs[name] for name in names)]
    kind = "kMax" if node.op == "MaxPool2d" else "kAverage"
    return f"POOL_LAYER({kind}, {', '.join(map(str, sizes))}"


def describe(graph: Graph, node: Node) -> str | None:
    """Return a layer's line without its networks, None for what is no kernel call here."""
    inputs = [graph.values[name] for name in node.inputs if name]
    x, y = inputs[0], graph.values[node.outputs[0]]
    if node.op in ("Conv2d", "FullyConnected"):
        return _conv(graph, node)
    if node.op in ("Add", "Sub", "Mul"):
        a, b = sorted(inputs, key=lambda value: -_pixels(value))
        return f"BINARY_LAYER(k{node.op}, {_pixels(a)}, {a.shape[-1]}, {_pixels(b)}"
    if node.op == "Lookup":
        return f"LOOKUP_LAYER({_pixels(x) * x.shape[-1]}"
    if node.op in ("MaxPool2d", "AveragePool2d"):
        return _pool(graph, node)
    if node.op == "ReduceMean":
        return f"MEAN_LAYER({_pixels(x) // _pixels(y)}, {x.shape[-1]}"
    if node.op == "Resize2d":
        return f"RESIZE_LAYER({x.shape[1]}, {x.shape[2]}, {y.shape[1]}, {y.shape[2]}, {x.shape[3]}"
    if node.op == "Transpose" and x.shape[-2:] == y.shape[-2:][::-1]:
        pixels = _pixels(x) // x.shape[-2]
        return f"SHUFFLE_LAYER({pixels}, {x.shape[-2]}, {x.shape[-1]}"
    return None


def layers(paths: list[Path]) -> Iterator[str]:
    """Yield the lines of all files: each distinct layer once, convolutions first."""
    found: dict[str, dict[str, int]] = {}
    for path in paths:
        graph = to_graph.to_graph(reader.read(path.read_bytes()))
        network = path.name.split(".")[0]
        for node in graph.nodes:
            line = describe(graph, node)
            if line is not None:
                counts = found.setdefault(line, {})
                counts[network] = counts.get(network, 0) + 1
    order = ("CONV", "BINARY", "LOOKUP", "POOL", "MEAN", "RESIZE", "SHUFFLE")
    for kind in order:
        for line, counts in found.items():
            if line.startswith(kind):
                text = " ".join(f"{network}:{count}" for network, count in counts.items())
                yield f'{line}, "{text}")\n'


def main() -> int:
    """Read the files, write the list."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=here / "layers.inc")
    options = parser.parse_args()
    lines = list(layers(options.files))
    options.out.write_text(HEADER + "".join(lines), encoding="utf-8")
    print(f"{options.out}: {len(lines)} layers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
