"""Decodes constants of encoding 1: docs/format.md, "Coded constants"."""

from __future__ import annotations

from typing import Any, List, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.format.records import Model, fail

_HEADER = np.dtype(
    [
        ("mapping", "u1"),
        ("packing", "u1"),
        ("width", "u1"),
        ("sparse", "u1"),
        ("codes", "<u2"),
        ("classes", "u1"),
        ("lanes_log2", "u1"),
        ("symbols", "<u4"),
        ("class_axis", "u1"),
        ("reserved", "V3"),
    ]
)
_TOTAL = 4096
_LEAST = 65536
_ELEMENTS_A_BYTE = 32
Bytes = NDArray[np.uint8]


class _Decoder:
    def __init__(
        self, model: Model, where: str, data: bytes, shape: Tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self.model, self.where, self.data, self.at = model, where, data, 16
        self.shape, self.dtype = shape, dtype
        self.elements = 1
        for dim in shape:
            self.elements *= dim

    def corrupt(self, why: str) -> Any:
        fail("corrupt", f"{self.where}: {why}")

    def take(self, size: int) -> Bytes:
        if size > len(self.data) - self.at:
            self.corrupt("its data end within a part")
        part = np.frombuffer(self.data, np.uint8, size, self.at)
        self.at += size
        return part

    def run(self) -> NDArray[Any]:
        if len(self.data) < 16 or self.elements > _ELEMENTS_A_BYTE * len(self.data):
            self.corrupt("too few bytes for its elements")
        self.header = h = np.frombuffer(self.data, _HEADER, 1)[0]
        unknown = h["mapping"] > 2 or h["packing"] > 1 or h["sparse"] > 1 or h["class_axis"] > 1
        if unknown or any(h["reserved"].tobytes()):
            self.model.unknown(f"{self.where}: coded in an unknown way")
        self.fields()
        rows = self.shape[0]
        book: Any = None
        if self.mapping:
            books = rows if self.mapping == 2 else 1
            raw = self.take(books * self.codes * self.dtype.itemsize).tobytes()
            book = np.frombuffer(raw, self.dtype).reshape(books, self.codes)
        ones: Optional[NDArray[np.bool_]] = None
        if h["sparse"]:
            bits = np.unpackbits(self.take((self.elements + 7) // 8), bitorder="little")
            if bits[self.elements :].any():
                self.corrupt("bits of the bitmap behind its elements")
            ones = bits[: self.elements] != 0
            if np.count_nonzero(ones) != self.symbols:
                self.corrupt("a bitmap of another number of symbols")
        row = np.repeat(np.arange(rows), self.elements // rows)
        row = row if ones is None else row[ones]
        classes = self.classes(row)
        symbols = self.fixed() if h["packing"] == 0 else self.rans(classes)
        if self.mapping == 0:
            values = (symbols.astype(np.int32) - (1 << (self.width - 1))).astype(np.int8)
        else:
            if len(symbols) and symbols.max() >= self.codes:
                self.corrupt("a symbol behind its codebook")
            values = book[row if self.mapping == 2 else 0, symbols]
        if ones is None:
            return np.asarray(values, self.dtype).reshape(self.shape)
        whole = np.zeros(self.elements, self.dtype)
        whole[ones] = values
        return whole.reshape(self.shape)

    def fields(self) -> None:
        h = self.header
        self.mapping, self.width = int(h["mapping"]), int(h["width"])
        self.codes, self.symbols = int(h["codes"]), int(h["symbols"])
        if not 1 <= self.width <= 8:
            self.corrupt("symbols of no width from 1 to 8")
        if self.mapping == 0:
            good = self.codes == 0 and self.dtype.itemsize == 1
        else:
            good = 1 <= self.codes <= 1 << self.width
        if not good:
            self.corrupt("a codebook that does not fit its symbols")
        if h["packing"] == 1:
            good = 1 <= h["classes"] <= 16 and h["lanes_log2"] <= 8
        else:
            good = h["classes"] == 0 and h["lanes_log2"] == 0
        if not good:
            self.corrupt("numbers of classes or lanes that do not fit its packing")
        if h["class_axis"] and (h["classes"] < 2 or h["sparse"]):
            self.corrupt("classes of columns without columns")
        if self.symbols > self.elements or (not h["sparse"] and self.symbols != self.elements):
            self.corrupt("a number of symbols that does not fit its elements")

    def classes(self, row: NDArray[Any]) -> Optional[NDArray[Any]]:
        """The class of each symbol; None when there is but one."""
        if self.header["classes"] < 2:
            return None
        columns = self.shape[-1]
        count = columns if self.header["class_axis"] else self.shape[0]
        packed = self.take((count + 1) // 2)
        nibbles = np.stack([packed & 15, packed >> 4], axis=1).reshape(-1)
        if nibbles[:count].max() >= self.header["classes"] or nibbles[count:].any():
            self.corrupt("a class that has no table")
        if self.header["class_axis"]:
            return np.tile(nibbles[:count], self.elements // columns)
        return np.asarray(nibbles[row])

    def fixed(self) -> NDArray[Any]:
        used = self.symbols * self.width
        packed = self.take((used + 7) // 8)
        if self.at != len(self.data):
            self.corrupt("symbols of another size than its data")
        bits = np.unpackbits(packed, bitorder="little")
        if bits[used:].any():
            self.corrupt("bits behind its symbols")
        weights = (1 << np.arange(self.width)).astype(np.uint8)
        found = bits[:used].reshape(self.symbols, self.width) @ weights
        return np.asarray(found, np.uint8)

    def table(self) -> Tuple[List[int], List[int]]:
        """The symbols of a table and their frequencies."""
        alphabet = 1 << self.width if self.mapping == 0 else self.codes
        first, count = (int(byte) for byte in self.take(2))
        if first + count + 1 > alphabet:
            self.corrupt("a table of symbols there are not")
        frequencies = []
        for _ in range(count + 1):
            frequency = int(self.take(1)[0])
            if frequency >= 128:
                frequency = (frequency & 127) << 8 | int(self.take(1)[0])
            frequencies.append(frequency)
            if sum(frequencies) > _TOTAL:
                self.corrupt("frequencies that do not sum to 4096")
        if sum(frequencies) != _TOTAL:
            self.corrupt("frequencies that do not sum to 4096")
        return list(range(first, first + count + 1)), frequencies

    def rans(self, classes: Optional[NDArray[Any]]) -> NDArray[Any]:
        symbol: List[NDArray[Any]] = []
        frequency: List[NDArray[Any]] = []
        bias: List[NDArray[Any]] = []
        for _ in range(int(self.header["classes"])):
            numbers, counts = self.table()
            symbol.append(np.repeat(numbers, counts))
            frequency.append(np.repeat(counts, counts))
            bias.append(np.arange(_TOTAL) - np.repeat(np.cumsum(counts) - counts, counts))
        symbol_of = np.concatenate(symbol).astype(np.uint8)
        frequency_of = np.concatenate(frequency).astype(np.uint32)
        bias_of = np.concatenate(bias).astype(np.uint32)
        lanes = 1 << int(self.header["lanes_log2"])
        raw = self.take(4 * lanes)
        states = np.frombuffer(raw.tobytes(), "<u4").astype(np.uint32)
        left = len(self.data) - self.at
        if left % 2:
            self.corrupt("streams of another size than its data")
        if states.min() < _LEAST:
            self.corrupt("a stream that begins below 65536")
        words = np.frombuffer(self.take(left).tobytes(), "<u2").astype(np.uint32)
        bases = None if classes is None else classes.astype(np.uint32) * np.uint32(_TOTAL)
        found = np.empty(self.symbols, np.uint8)
        mask, shift, next_word = np.uint32(_TOTAL - 1), np.uint32(12), 0
        for first in range(0, self.symbols, lanes):
            last = min(first + lanes, self.symbols)
            state = states[: last - first]
            slot = state & mask
            if bases is not None:
                slot += bases[first:last]
            found[first:last] = symbol_of[slot]
            state >>= shift
            state *= frequency_of[slot]
            state += bias_of[slot]
            (low,) = np.nonzero(state < _LEAST)
            if len(low):
                if next_word + len(low) > len(words):
                    self.corrupt("a stream that ends too early")
                state[low] = state[low] << 16 | words[next_word : next_word + len(low)]
                next_word += len(low)
        if (states != _LEAST).any():
            self.corrupt("a stream that does not end at 65536")
        if next_word != len(words):
            self.corrupt("words behind its streams")
        return found


def decode(
    model: Model, where: str, data: bytes, shape: Tuple[int, ...], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """The elements of a coded constant; raises FormatError with the status of what is wrong."""
    return _Decoder(model, where, data, shape, dtype).run()


def describe(data: bytes) -> str:
    """How a coded constant is stored, in a few words, from its judged bytes."""
    h = np.frombuffer(data, _HEADER, 1)[0]
    book = ("", f"codebook of {h['codes']}, ", f"codebooks of {h['codes']} a row, ")[h["mapping"]]
    parts = "bitmap, " if h["sparse"] else ""
    if h["packing"] == 0:
        return f"{parts}{book}{h['width']} bits"
    tables = "1 table" if h["classes"] == 1 else f"{h['classes']} tables"
    return f"{parts}{book}entropy, {tables}"
