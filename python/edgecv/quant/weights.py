"""Integer weights of a layer: plain, or lane-safe with the largest group its error allows."""

from __future__ import annotations

import hashlib
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.quant.lanes import GROUPS, lane_bound, lane_maps
from edgecv.quant.moments import Moments
from edgecv.quant.parameters import (
    QuantizedWeights,
    QuantParams,
    check_bounds,
    quantize_weights,
    scale_floor,
)
from edgecv.quant.rate import round_at
from edgecv.quant.refine import Refiner
from edgecv.quant.rounding import Limits, Rounded, round_rows
from edgecv.quant.taps import BIAS_BITS, round_taps, tap_pairs
from edgecv.quant.values import are_shared, round_values

Floats = NDArray[np.float32]
PLAIN_GROUP = 1
NEAREST = 0  # as a wanted group: rounded to nearest
TAPS_GROUP = GROUPS[-1]  # of depthwise layers: every sum over all taps of a kernel
# A group is taken when the noise of its weights (see sqnr_db) lies at most MOST_LOSS_DB above that
# of plain rounding to the same width, or ENOUGH_DB below the signal: there it is no more than what
# rounding the layer's output to 8 bits makes (38 dB for a normal distribution cut at 5.6 sigma).
# Else the next smaller group, at last plain.
MOST_LOSS_DB = 8.0
ENOUGH_DB = 38.0
MOST_COARSE_LOSS_DB = 0.5  # of steps that were chosen for their bits, below rounding to nearest
# How much values of one channel move together, one pixel apart: their correlation at a distance of
# d pixels is taken as this to the power of d.
NEIGHBOURS = 0.7
_SWEEPS = 4
_BY_VALUE = 2  # in what a memo is asked for
_LEAST_FACTOR = 0.3  # below every factor of max|w| / qmax that rounding tries as a scale


@dataclass(frozen=True)
class QuantOptions:
    """What a conversion to int8 is asked for.

    lane_safe: weights whose sums of ``group`` products are exact in 16-bit lanes; else plain.
    bits: width of weights. bits_of_node: the same for single layers. group_of_node: the lane group
    that single layers keep whatever it costs them; 1: best without a bound, 0: rounded to nearest.
    Of depthwise layers 8 stands for the bounds of taps.py; smaller groups ask nothing of them.
    step_of_node: step of the weights of single layers and price of a bit (quant.rate).
    memo: where rounded weights are kept for a next conversion of the same layers.
    """

    lane_safe: bool = True
    group: int = 4
    bits: int = 8
    activation_bits: int = 8
    bits_of_node: Mapping[str, int] = field(default_factory=dict)
    group_of_node: Mapping[str, int] = field(default_factory=dict)
    step_of_node: Mapping[str, Tuple[float, float]] = field(default_factory=dict)
    memo: Optional[RoundingMemo] = field(default=None, compare=False)

    def bits_of(self, node: str, depthwise: bool) -> int:
        """The width of a layer's weights; depthwise layers keep 8 unless named: they have few."""
        return self.bits_of_node.get(node, 8 if depthwise else self.bits)


@dataclass
class Layer:
    """A layer to round: real weights [OC, KH, KW, C/groups] or [N, K], bias [OC], and what is known
    of its input and output.
    """

    weights: Floats
    bias: Floats
    groups: int
    x: QuantParams
    y: QuantParams
    input_range: int
    moments: Optional[Moments] = None
    coverage: Optional[NDArray[np.float64]] = None
    dilation: Tuple[int, int] = (1, 1)

    def tap_correlation(self) -> Floats:
        """[taps, taps]: how much what two taps of the kernel read moves together."""
        height, width = self.weights.shape[1:3] if self.weights.ndim == 4 else (1, 1)
        y, x = np.divmod(np.arange(height * width), width)
        distance = np.abs(y[:, None] - y) * self.dilation[0]
        distance = distance + np.abs(x[:, None] - x) * self.dilation[1]
        return np.asarray(NEIGHBOURS**distance, np.float32)

    @property
    def is_depthwise(self) -> bool:
        """Whether each output channel reads one input channel."""
        return self.weights.ndim == 4 and self.weights.shape[3] == 1

    @property
    def is_shared(self) -> bool:
        """Whether weights of a channel share few values, which rounding keeps together."""
        return not self.is_depthwise and are_shared(self.weights)


@dataclass
class Integers:
    """Rounded weights and their scales, the lane group they keep and how far they are from real."""

    q: NDArray[np.int8]
    scale: Floats
    group: int
    sqnr_db: float


class RoundingMemo:
    """Rounded weights by a digest of everything they depend on; in a folder, also from run to run.

    Digests of arrays are kept by identity: whoever owns the memo does not edit arrays in place.
    """

    def __init__(self, folder: Optional[Path] = None) -> None:
        self._folder = folder
        self._known: Dict[str, Integers] = {}
        self._digests: Dict[int, Tuple[Any, bytes]] = {}

    def find(self, layer: Layer, asked: Tuple[int, ...], make: Callable[[], Integers]) -> Integers:
        """What ``make`` gives for a layer and the numbers ``asked``."""
        qmax = 2 ** (asked[-1] - 1)
        floor = scale_floor(layer.weights, layer.bias, layer.x, layer.y)
        # Floors far below the scales that are tried change nothing.
        top = np.abs(layer.weights.reshape(len(layer.weights), -1)).max(axis=1)
        floor = np.where(floor > top * (_LEAST_FACTOR / qmax), floor, 0.0)
        parts = (asked, layer.groups, layer.dilation, layer.input_range, self._of(layer.weights))
        seen = b"" if layer.moments is None else self._of(layer.moments)
        key = hashlib.sha256(repr((parts, seen)).encode() + floor.tobytes()).hexdigest()[:32]
        if key not in self._known:
            self._known[key] = self._stored(key, make)
        return self._known[key]

    def _of(self, owner: Any) -> bytes:
        if id(owner) not in self._digests:
            arrays = [owner] if isinstance(owner, np.ndarray) else [owner.sums, owner.products]
            digest = hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays))
            self._digests[id(owner)] = (owner, digest.digest())
        return self._digests[id(owner)][1]

    def _stored(self, key: str, make: Callable[[], Integers]) -> Integers:
        if self._folder is None:
            return make()
        path = self._folder / f"{key}.npz"
        if path.exists():
            try:
                with np.load(path, allow_pickle=False) as kept:
                    return Integers(
                        kept["q"], kept["scale"], int(kept["group"]), float(kept["sqnr_db"])
                    )
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
                pass  # cut off when it was written
        found = make()
        part = path.with_suffix(f".{os.getpid()}.npz")
        np.savez(part, **vars(found))
        os.replace(part, path)
        return found


@dataclass
class Choice:
    """Rounded weights, the lane group they keep (1: plain) and how far they are from real."""

    weights: QuantizedWeights
    group: int
    sqnr_db: float


def sqnr_db(layer: Layer, q: NDArray[np.int8], scale: Floats) -> float:
    """Signal to noise ratio of integer weights, infinite when nothing was rounded: in the layer's
    output, as the covariance of its input shows it, or of the weights themselves when nothing is
    known of the input.
    """
    shape = (-1,) + (1,) * (layer.weights.ndim - 1)
    noise, power = 0.0, 0.0
    off = layer.weights - q * scale.reshape(shape)
    per_group = len(q) // layer.groups
    channels = layer.weights.shape[-1]
    if layer.moments is None:
        noise = float((off.astype(np.float64) ** 2).sum())
        power = float((layer.weights.astype(np.float64) ** 2).sum())
    elif layer.is_depthwise:
        h = _by_output(layer, layer.moments.variance()).reshape(-1, 1)
        taps = layer.tap_correlation()
        for rows, is_noise in ((off, True), (layer.weights, False)):
            flat = rows.reshape(len(q), -1).astype(np.float64)
            energy = float((h * flat * (flat @ taps)).sum())
            noise, power = (energy, power) if is_noise else (noise, energy)
    else:
        for index in range(layer.groups):
            part = slice(index * per_group, (index + 1) * per_group)
            noise += layer.moments.energy(index * channels, off[part].reshape(-1, channels))
            power += layer.moments.energy(
                index * channels, layer.weights[part].reshape(-1, channels)
            )
    return float(10 * np.log10(power / noise)) if noise > 0 and power > 0 else float("inf")


def plain(layer: Layer, bits: int = 8) -> Choice:
    """Rounded to nearest, the scale that of the largest weight."""
    q = quantize_weights(layer.weights, layer.bias, layer.x, layer.y, qmax=2 ** (bits - 1) - 1)
    return Choice(q, PLAIN_GROUP, sqnr_db(layer, q.weights, q.scale))


def choose(layer: Layer, options: QuantOptions, node: str) -> Choice:
    """The integer weights of the layer of a node, as options say."""
    bits = options.bits_of(node, layer.is_depthwise)
    group = options.group_of_node.get(node, options.group if options.lane_safe else NEAREST)
    if group == NEAREST:
        return plain(layer, bits)
    is_forced = node in options.group_of_node

    if node in options.step_of_node:
        coarse = _coarse(layer, group, *options.step_of_node[node])
        if coarse is not None:
            return _finish(layer, coarse)

    def make() -> Integers:
        return _rounded(layer, group, bits) if is_forced else _lane_safe(layer, group, bits)

    if options.memo is None:
        return _finish(layer, make())
    way = (_BY_VALUE,) if layer.is_shared else ()
    asked = (*way, is_forced, group, bits)
    return _finish(layer, options.memo.find(layer, asked, make))


def lane_safe(layer: Layer, group: int, bits: int = 8) -> Choice:
    """Weights whose sums of ``group`` products are exact in 16 bits, or of a smaller group when
    that costs too much (MOST_LOSS_DB, ENOUGH_DB).
    """
    return _finish(layer, _lane_safe(layer, group, bits))


def _lane_safe(layer: Layer, group: int, bits: int) -> Integers:
    nearest = _nearest(layer, bits)
    wanted = min(nearest.sqnr_db - MOST_LOSS_DB, ENOUGH_DB)
    if layer.is_depthwise:
        bounded = _taps(layer, bits) if group == TAPS_GROUP else None
        is_enough = bounded is not None and bounded.sqnr_db >= wanted
        return bounded if bounded and is_enough else _depthwise(layer, nearest, bits)
    for smaller in sorted((g for g in GROUPS if g <= group), reverse=True):
        found = _rounded(layer, smaller, bits)
        if found.sqnr_db >= wanted:
            return found
    return nearest


def _nearest(layer: Layer, bits: int) -> Integers:
    q = plain(layer, bits)
    return Integers(q.weights.weights, q.weights.scale, PLAIN_GROUP, q.sqnr_db)


def _rounded(layer: Layer, group: int, bits: int) -> Integers:
    if layer.is_depthwise:
        bounded = _taps(layer, bits) if group == TAPS_GROUP else None
        return bounded or _depthwise(layer, _nearest(layer, bits), bits)
    found = _by_value(layer, group, bits) if layer.is_shared else _search(layer, group, bits)
    q = found.q.reshape(layer.weights.shape)
    return Integers(q, found.scale, group, sqnr_db(layer, q, found.scale))


def _by_value(layer: Layer, group: int, bits: int) -> Rounded:
    """Equal weights of a channel become equal integers."""
    floor = scale_floor(layer.weights, layer.bias, layer.x, layer.y)
    w = layer.weights if layer.weights.ndim == 4 else layer.weights[:, None, None, :]
    oc, height, width, channels = w.shape
    maps = lane_maps((height, width), channels, group) if group > PLAIN_GROUP else []
    limits = Limits(2 ** (bits - 1) - 1, lane_bound(layer.input_range), maps)
    parts: List[Rounded] = []
    for index in range(layer.groups):
        part = slice(index * (oc // layer.groups), (index + 1) * (oc // layer.groups))
        h = np.tile(_importance(layer, index * channels, channels, 1, False)[0], height * width)
        parts.append(round_values(w[part].reshape(oc // layer.groups, -1), h, floor[part], limits))
    return _joined(parts)


def _coarse(layer: Layer, group: int, step: float, price: float) -> Optional[Integers]:
    """Weights in steps of one size; None where the lane group costs such steps too much: layers
    that need fine steps are small, and may be rounded as all others.
    """
    found = _search(layer, group, 8, round_at(step, price))
    q = found.q.reshape(layer.weights.shape)
    per_channel = found.scale.reshape((-1,) + (1,) * (q.ndim - 1))
    nearest = np.clip(np.rint(layer.weights / per_channel), -127, 127).astype(np.int8)
    reached = sqnr_db(layer, q, found.scale)
    if reached < sqnr_db(layer, nearest, found.scale) - MOST_COARSE_LOSS_DB:
        return None
    return Integers(q, found.scale, group, reached)


def _search(
    layer: Layer, group: int, bits: int, round_part: Callable[..., Rounded] = round_rows
) -> Rounded:
    floor = scale_floor(layer.weights, layer.bias, layer.x, layer.y)
    w = layer.weights if layer.weights.ndim == 4 else layer.weights[:, None, None, :]
    oc, height, width, channels = w.shape
    maps = lane_maps((height, width), channels, max(group, GROUPS[0]))
    joint = len(maps) > 1  # lane sets that cross taps: all taps of a channel are one row
    rows, columns = (1, height * width * channels) if joint else (height * width, channels)
    bounded = maps if joint else [maps[0][:channels]]
    limits = Limits(
        2 ** (bits - 1) - 1, lane_bound(layer.input_range), bounded if group > PLAIN_GROUP else []
    )
    per_group = oc // layer.groups
    parts: List[Rounded] = []
    for index in range(layer.groups):
        part = slice(index * per_group, (index + 1) * per_group)
        h, covariance = _importance(layer, index * channels, channels, height * width, joint)
        block = w[part].reshape(per_group * rows, columns)
        parts.append(round_part(block, h, covariance, floor[part], limits, rows))
    return _joined(parts)


def _joined(parts: List[Rounded]) -> Rounded:
    return Rounded(np.concatenate([p.q for p in parts]), np.concatenate([p.scale for p in parts]))


def _importance(
    layer: Layer, first: int, channels: int, taps: int, joint: bool
) -> Tuple[Floats, Optional[Floats]]:
    """(variance [K], covariance [K, K]) of what the columns of a row are multiplied with."""
    repeats = taps if joint else 1
    if layer.moments is None:
        return np.ones(channels * repeats, np.float32), None
    h = layer.moments.variance()[first : first + channels]
    covariance = layer.moments.covariance(first, channels)
    if joint:
        h = np.tile(h, taps)
        if covariance is not None:
            covariance = np.kron(layer.tap_correlation(), covariance)
    return h, covariance


def _depthwise(layer: Layer, nearest: Integers, bits: int) -> Integers:
    """Plain weights whose errors cancel over taps that see similar values."""
    if layer.moments is None:
        return nearest
    scale, shape = nearest.scale, layer.weights.shape
    v = (layer.weights.reshape(shape[0], -1) / scale[:, None]).astype(np.float32)
    q = nearest.q.reshape(shape[0], -1).astype(np.float32)
    refiner = Refiner(v, q, layer.tap_correlation(), 2 ** (bits - 1) - 1, 0, [])
    found = refiner.run(_SWEEPS).astype(np.int8).reshape(shape)
    return Integers(found, scale, PLAIN_GROUP, sqnr_db(layer, found, scale))


def _taps(layer: Layer, bits: int) -> Optional[Integers]:
    """Weights whose sums over all taps stay in 16 bits, where kernels have such a form."""
    pairs = tap_pairs((layer.weights.shape[1], layer.weights.shape[2]))
    if pairs is None or layer.moments is None or layer.groups != len(layer.weights):
        return None
    shape, qmax = layer.weights.shape, 2 ** (bits - 1) - 1
    least = np.abs(layer.bias.astype(np.float64)) / (2.0**BIAS_BITS * layer.x.scale)
    scale = np.maximum(_nearest(layer, bits).scale.astype(np.float64), least)
    flat = layer.weights.reshape(shape[0], -1)
    q, found = round_taps(flat, scale, layer.tap_correlation(), pairs, layer.input_range, qmax)
    q = q.reshape(shape)
    return Integers(q, found, TAPS_GROUP, sqnr_db(layer, q, found))


def _finish(layer: Layer, chosen: Integers) -> Choice:
    """Integer bias and multipliers; the bias takes up the mean error that rounding made."""
    q, scale = chosen.q, chosen.scale
    bias = layer.bias.astype(np.float64)
    per_channel = scale.astype(np.float64).reshape((-1,) + (1,) * (q.ndim - 1))
    if layer.moments is not None:
        off = layer.weights.astype(np.float64) - q * per_channel
        bias = bias + (off * _mean_input(layer)).reshape(len(q), -1).sum(axis=1)
    product = (np.float32(layer.x.scale) * scale).astype(np.float32)
    integer_bias = np.rint(bias / product.astype(np.float64)).astype(np.int64)
    mult = (product / np.float32(layer.y.scale)).astype(np.float32)
    check_bounds(q, integer_bias, mult, layer.x)
    weights = QuantizedWeights(q, integer_bias.astype(np.int32), scale, mult)
    return Choice(weights, chosen.group, chosen.sqnr_db)


def _mean_input(layer: Layer) -> NDArray[np.float64]:
    """What each weight is multiplied with on average, broadcastable to the weights."""
    assert layer.moments is not None
    mean = layer.moments.mean().astype(np.float64)
    if layer.weights.ndim == 2:
        return mean
    height, width = layer.weights.shape[1:3]
    cover = np.ones((height, width)) if layer.coverage is None else layer.coverage
    return np.asarray(cover[None, :, :, None] * _by_output(layer, mean))


def _by_output(layer: Layer, of_input: NDArray[Any]) -> NDArray[np.float64]:
    """Values of input channels, [OC, 1, 1, C/groups]: those each output channel reads."""
    oc = len(layer.weights)
    owner = np.arange(oc) // (oc // layer.groups)
    return np.asarray(of_input.reshape(layer.groups, -1)[owner][:, None, None, :], np.float64)
