"""Writes constants as coded ones (docs/format.md, "Coded constants"): the smallest way of several
that gives the same elements.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, List, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

_TOTAL = 4096
_LEAST = 65536
_SYMBOLS_A_LANE = 1024  # a lane costs about two bytes
_MOST_LANES_LOG2 = 8
_ELEMENTS_A_BYTE = 32
_LEAST_BYTES = 128  # what is smaller stays raw
_MOST_COUNTED_ROWS = 1 << 15
_ROWS, _COLUMNS = 0, 1
Array = NDArray[Any]
_Shared = Tuple[Array, Optional[Array], Optional[Array], int]


@dataclass
class _Classes:
    """Which table each row or column has, the tables [classes, 256] and about how many bytes it
    takes all in all.
    """

    axis: int
    of: Array
    tables: Array
    size: float


@dataclass
class _Form:
    """Symbols [n] that stand for the elements; ``rows`` and ``columns``: whose each one is;
    ``height``: how many rows there are, those without symbols too.
    """

    mapping: int
    width: int
    codebook: bytes
    codes: int
    symbols: Array
    rows: Array
    columns: Optional[Array]
    ones: Optional[Array]
    height: int

    def parts_before(self) -> bytes:
        """Codebook and bitmap."""
        bitmap = b"" if self.ones is None else np.packbits(self.ones, bitorder="little").tobytes()
        return self.codebook + bitmap

    def header(self, packing: int, classes: int, lanes_log2: int, axis: int) -> bytes:
        return struct.pack(
            "<BBBBHBBIB3x",
            self.mapping,
            packing,
            self.width,
            self.ones is not None,
            self.codes,
            classes,
            lanes_log2,
            len(self.symbols),
            axis,
        )


def encode(values: Array) -> Optional[bytes]:
    """The bytes of a coded constant of s8 or f32 elements; None when it is best stored raw."""
    if values.nbytes < _LEAST_BYTES or values.dtype not in (np.dtype("i1"), np.dtype("<f4")):
        return None
    best: Optional[bytes] = None
    limit = float(values.nbytes)
    for form in _forms(values):
        before = 16 + len(form.codebook)
        before += 0 if form.ones is None else (values.size + 7) // 8
        fixed = before + (len(form.symbols) * form.width + 7) // 8
        classes = _best_classes(form)
        entropy = before + classes.size
        if fixed < limit and fixed <= entropy:
            made = form.header(0, 0, 0, 0) + form.parts_before() + _pack(form.symbols, form.width)
        elif entropy < limit:
            made = _rans(form, classes)
        else:
            continue
        if len(made) < limit and values.size <= _ELEMENTS_A_BYTE * len(made):
            best, limit = made, float(len(made))
    return best


def _forms(values: Array) -> List[_Form]:
    """The ways that may be smallest."""
    rows = values.shape[0]
    flat = np.ascontiguousarray(values).reshape(-1)
    bits = flat.view(np.uint8 if values.dtype.itemsize == 1 else np.uint32)
    row = np.repeat(np.arange(rows), flat.size // rows)
    column = np.tile(np.arange(values.shape[-1]), flat.size // values.shape[-1])
    forms: List[_Form] = []
    zeros = bits == 0
    for sparse in (False, True):
        if sparse and np.count_nonzero(zeros) * 8 < flat.size:
            continue
        ones = ~zeros if sparse else None
        part, rows_of = (flat, row) if ones is None else (flat[ones], row[ones])
        columns_of = column if ones is None else None
        shared = (rows_of, columns_of, ones, rows)
        if values.dtype.itemsize == 1:
            forms.append(_integers(part, shared))
        forms += _codebooks(part, shared)
    return forms


def _integers(part: Array, shared: _Shared) -> _Form:
    low, high = (int(part.min()), int(part.max())) if part.size else (0, 0)
    width = max((-low - 1).bit_length() if low < 0 else 0, max(high, 0).bit_length()) + 1
    symbols = (part.astype(np.int16) + (1 << (width - 1))).astype(np.uint8)
    return _Form(0, width, b"", 0, symbols, *shared)


def _codebooks(part: Array, shared: _Shared) -> List[_Form]:
    """One for the tensor where it has at most 256 different elements; and one for each row where
    that is smaller.
    """
    if part.size == 0:
        return []
    bits = part.view(np.uint8 if part.dtype.itemsize == 1 else np.uint32)
    row, rows = shared[0], shared[3]
    if len(np.unique(bits[: max(1, part.size // rows)])) > 256:
        return []
    number = row.astype(np.int64) << 32 | bits.astype(np.int64)
    keys, inverse = _pairs(number, rows, part.dtype.itemsize)
    per_row = np.bincount(keys >> 32, minlength=rows)
    codes = np.unique(keys & 0xFFFFFFFF).astype(bits.dtype)
    forms: List[_Form] = []
    useful = 256 if part.dtype.itemsize > 1 else 128
    if len(codes) <= useful:
        symbols = np.searchsorted(codes, bits).astype(np.uint8)
        width = max((len(codes) - 1).bit_length(), 1)
        forms.append(_Form(1, width, codes.tobytes(), len(codes), symbols, *shared))
    most = int(per_row.max())
    book_bytes = rows * most * part.dtype.itemsize
    if most <= useful and book_bytes < part.nbytes // 2 and most < len(codes):
        starts = np.cumsum(per_row) - per_row
        order = np.arange(len(keys)) - starts[keys >> 32]
        book = np.zeros((rows, most), bits.dtype)
        book[keys >> 32, order] = (keys & 0xFFFFFFFF).astype(bits.dtype)
        width = max((most - 1).bit_length(), 1)
        symbols = order[inverse].astype(np.uint8)
        forms.append(_Form(2, width, book.tobytes(), most, symbols, *shared))
    return forms


def _pairs(keys: Array, rows: int, itemsize: int) -> Tuple[Array, Array]:
    """The different pairs of a row and an element, row << 32 | element, in order, and which of them
    each element is.
    """
    if itemsize > 1 or rows > _MOST_COUNTED_ROWS:
        found, inverse = np.unique(keys, return_inverse=True)
        return found, inverse.reshape(-1)
    dense = (keys >> 32) * 256 + (keys & 255)
    present = np.bincount(dense, minlength=rows * 256) > 0
    (places,) = np.nonzero(present)
    return places // 256 << 32 | places % 256, (np.cumsum(present) - 1)[dense]


def _pack(symbols: Array, width: int) -> bytes:
    bits = (symbols[:, None] >> np.arange(width, dtype=np.uint8)) & 1
    return np.packbits(bits.astype(np.uint8), bitorder="little").tobytes()


# -- entropy coding


def _frequencies(counts: Array) -> Array:
    """Counts [256] as frequencies that sum to 4096, at least 1 where there is any count."""
    if not counts.any():
        counts = counts.copy()
        counts[0] = 1
    found = np.rint(counts * (_TOTAL / counts.sum())).astype(np.int64)
    found = np.where(counts > 0, np.maximum(found, 1), 0)
    while found.sum() != _TOTAL:
        excess = int(found.sum()) - _TOTAL
        if excess > 0:  # from those that lose least by it
            able = np.argsort(-found, kind="stable")[: max(1, min(excess, int((found > 16).sum())))]
            found[able] -= 1
        else:
            found[np.argmax(found)] -= excess
    return found


def _table_bytes(table: Array) -> int:
    (used,) = np.nonzero(table)
    return 2 + int((1 + (table[used[0] : used[-1] + 1] >= 128)).sum())


def _cost_of(tables: Array) -> Array:
    """[classes, 256]: bits of a symbol; of one that a table lacks, more than any has."""
    return np.where(tables > 0, -np.log2(np.maximum(tables, 1) / _TOTAL), 64.0)


def _best_classes(form: _Form) -> _Classes:
    whole = np.bincount(form.symbols, minlength=256)
    table = _frequencies(whole)[None]
    lanes = 4 << _lanes_log2(len(form.symbols))
    size = float(_cost_of(table)[0] @ whole) / 8 + _table_bytes(table[0]) + lanes
    best = _Classes(_ROWS, np.zeros(0, np.int64), table, size)
    for axis, groups in ((_ROWS, form.rows), (_COLUMNS, form.columns)):
        if groups is None or not groups.size:
            continue
        count = form.height if axis == _ROWS else int(groups.max()) + 1
        if count < 2 or count * 16 > len(form.symbols):
            continue
        counts = np.bincount(groups * 256 + form.symbols, minlength=count * 256)
        counts = counts.reshape(count, 256)
        for classes in (2, 4, 8, 16):
            found = _cluster(counts, classes, axis, lanes)
            if found.size >= best.size:
                break
            best = found
    return best


def _cluster(counts: Array, classes: int, axis: int, lanes: int) -> _Classes:
    """Rows with like distributions together: from those with the fewest bits to the most, then by
    which table suits them best.
    """
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    entropy = -(share * np.log2(np.maximum(share, 1e-9))).sum(axis=1)
    of = np.empty(len(counts), np.int64)
    of[np.argsort(entropy, kind="stable")] = np.arange(len(counts)) * classes // len(counts)
    for turn in range(5):
        sums = np.stack([counts[of == k].sum(axis=0) for k in range(classes)])
        tables = np.stack([_frequencies(row) for row in sums])
        cost = counts @ _cost_of(tables).T
        if turn < 4:
            of = np.argmin(cost, axis=1)
    bits = float(cost[np.arange(len(counts)), of].sum())
    head = (len(counts) + 1) // 2 + sum(_table_bytes(table) for table in tables)
    return _Classes(axis, of, tables, bits / 8 + head + lanes)


def _lanes_log2(symbols: int) -> int:
    return min(max(symbols // _SYMBOLS_A_LANE, 1).bit_length() - 1, _MOST_LANES_LOG2)


def _nibbles(of: Array) -> bytes:
    padded = np.append(np.asarray(of, np.uint8), np.zeros(len(of) % 2, np.uint8))
    return np.asarray(padded[0::2] | padded[1::2] << 4, np.uint8).tobytes()


def _table(table: Array) -> bytes:
    (used,) = np.nonzero(table)
    first, last = int(used[0]), int(used[-1])
    text = bytearray([first, last - first])
    for frequency in table[first : last + 1].tolist():
        text += bytes([frequency]) if frequency < 128 else struct.pack(">H", frequency | 0x8000)
    return bytes(text)


def _rans(form: _Form, classes: _Classes) -> bytes:
    lanes_log2 = _lanes_log2(len(form.symbols))
    count = len(classes.tables)
    head = form.header(1, count, lanes_log2, classes.axis) + form.parts_before()
    class_of = np.zeros(len(form.symbols), np.int64)
    if count > 1:
        head += _nibbles(classes.of)
        groups = form.rows if classes.axis == _ROWS else form.columns
        class_of = classes.of[groups]
    head += b"".join(map(_table, classes.tables))
    starts = np.cumsum(classes.tables, axis=1) - classes.tables
    entry = class_of * 256 + form.symbols
    frequency = classes.tables.reshape(-1)[entry].astype(np.uint64)
    start = starts.reshape(-1)[entry].astype(np.uint64)
    return head + _streams(frequency, start, 1 << lanes_log2)


def _streams(frequency: Array, start: Array, lanes: int) -> bytes:
    """The states at the start and the words of symbols with these frequencies and first slots: what
    a decoder reads first is written last.
    """
    states = np.full(lanes, _LEAST, np.uint64)
    words: List[Array] = []
    total, shift, low = np.uint64(_TOTAL), np.uint64(16), np.uint64(0xFFFF)
    room = frequency << np.uint64(20)
    for first in range((len(frequency) - 1) // lanes * lanes, -1, -lanes):
        f, s = frequency[first : first + lanes], start[first : first + lanes]
        state = states[: len(f)]
        (full,) = np.nonzero(state >= room[first : first + lanes])
        if len(full):
            words.append((state[full] & low)[::-1])
            state[full] >>= shift
        state[:] = state + state // f * (total - f) + s
    stream = np.concatenate(words)[::-1] if words else np.zeros(0, np.uint64)
    return states.astype("<u4").tobytes() + stream.astype("<u2").tobytes()
