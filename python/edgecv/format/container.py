"""The container of an ``.ecv`` file, its strings and its meta, as the reader judges them."""

from __future__ import annotations

import zlib
from typing import Any, Dict

import numpy as np
from numpy.typing import NDArray

from edgecv.format.records import (
    HEADER,
    MAGIC,
    MAJOR,
    MAX_FILE,
    MAX_META_VALUE,
    MAX_NAME,
    MAX_SECTIONS,
    SECTION,
    SECTIONS,
    Model,
    fail,
    zero,
)


def align(value: int) -> int:
    """The next multiple of 64."""
    return -(-value // 64) * 64


class Container:
    """A file whose container, strings and meta are judged."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.model = Model(0, [])
        self.parts: Dict[bytes, bytes] = {}
        self.counts: Dict[bytes, int] = {}

    # --- container -----------------------------------------------------------------------------

    def header(self) -> NDArray[Any]:
        """Judges the header; returns the section table."""
        data = self.data
        if data[:8] != MAGIC[: len(data[:8])]:
            fail("not_ecv", "not an .ecv file: the first bytes are not its magic")
        if len(data) < HEADER.itemsize:
            fail("truncated", f"the file has {len(data)} bytes, at least 64 are needed")
        header = np.frombuffer(data, HEADER, 1)[0]
        if header["major"] != MAJOR:
            fail("version", f"format version {header['major']}.{header['minor']}")
        self.model.minor = int(header["minor"])
        if len(data) > MAX_FILE:
            fail("limit", f"{len(data)} bytes")
        if len(data) != header["file_size"]:
            status = "truncated" if len(data) < header["file_size"] else "corrupt"
            fail(status, f"the file has {len(data)} bytes, its header says {header['file_size']}")
        if header["section_count"] > MAX_SECTIONS:
            fail("limit", f"{header['section_count']} sections")
        end = 64 + 32 * int(header["section_count"])
        if end > len(data):
            fail("corrupt", "the section table does not fit into the file")
        covered = data[:28] + bytes(4) + data[32:end]
        if zlib.crc32(covered) != header["header_crc"]:
            fail("checksum", "header or section table")
        return np.frombuffer(data, SECTION, int(header["section_count"]), 64)

    def container(self) -> None:
        """Judges the container; fills ``parts`` and ``counts``."""
        table = self.header()
        header = np.frombuffer(self.data, HEADER, 1)[0]
        if header["flags"] != 0 or not zero(header["hash"]):
            self.model.unknown("the header uses flags or a hash")
        end = 64 + table.nbytes
        wanted = list(SECTIONS)
        gaps = []
        for i, entry in enumerate(table):
            kind = entry["type"].tobytes()
            count, offset, size = int(entry["count"]), int(entry["offset"]), int(entry["size"])
            if kind in SECTIONS:
                if not wanted or wanted.pop(0) != kind:
                    fail("corrupt", f"section {i} ({kind!r}) is out of order")
                flags, record, limit = SECTIONS[kind]
                if entry["flags"] != flags:
                    self.model.unknown(f"section {i} ({kind!r}): flags")
                if size != count * (record.itemsize if record is not None else 1):
                    fail("corrupt", f"section {i} ({kind!r}): size and count do not fit")
                if count > limit:
                    fail("limit", f"section {i} ({kind!r}): {count} entries, the limit is {limit}")
                self.counts[kind] = count
            elif entry["flags"] & 1:
                fail("version", f"section {i} ({kind!r}) is critical and unknown")
            elif entry["flags"]:
                self.model.unknown(f"section {i} ({kind!r}): flags")
            if offset != align(end) or offset + size > len(self.data):
                fail("corrupt", f"section {i} ({kind!r}) lies at a wrong place")
            gaps.append((end, offset))
            end = offset + size
            self.parts[kind] = self.data[offset:end]
            self.model.sections.append((kind.decode("latin-1"), size, count))
        if wanted:
            fail("corrupt", f"section {wanted[0]!r} is missing")
        if align(end) != len(self.data):
            fail("corrupt", "the sections do not end with the file")
        gaps.append((end, len(self.data)))
        for i, entry in enumerate(table):
            start = int(entry["offset"])
            if zlib.crc32(self.data[start : start + int(entry["size"])]) != entry["crc"]:
                fail("checksum", f"section {i} ({entry['type'].tobytes()!r})")
        for begin, stop in gaps:
            if any(self.data[begin:stop]):
                fail("corrupt", f"the padding at {begin} is not zero")

    def records(self, kind: bytes) -> NDArray[Any]:
        """The records of a section."""
        record = SECTIONS[kind][1]
        assert record is not None
        found: NDArray[Any] = np.frombuffer(self.parts[kind], record, self.counts[kind])
        return found

    # --- strings and meta ----------------------------------------------------------------------

    def strings(self) -> None:
        """Judges STRS."""
        strs = self.parts[b"STRS"]
        if strs and strs[-1] != 0:
            fail("corrupt", "STRS does not end with a zero byte")
        try:
            text = strs.decode("utf-8")
        except UnicodeDecodeError:
            fail("corrupt", "STRS is not UTF-8")
        if any((c < " " and c not in "\0\t\n") or c == "\x7f" for c in text):
            fail("corrupt", "STRS holds a control character")

    def text(self, ref: Any, limit: int, free_text: bool = False) -> str:
        """The string of a reference."""
        strs = self.parts[b"STRS"]
        offset, size = int(ref["offset"]), int(ref["size"])
        if offset + size >= len(strs) or (offset and strs[offset - 1]) or strs[offset + size]:
            fail("corrupt", f"{size} bytes at {offset} of STRS are not one of its strings")
        if size > limit:
            fail("limit", f"a string of {size} bytes, the limit is {limit}")
        raw = strs[offset : offset + size]
        if 0 in raw or (not free_text and any(c < 32 or c == 127 for c in raw)):
            fail("corrupt", "a name holds a control character")
        return raw.decode("utf-8")

    def meta(self) -> None:
        """Judges META; fills the model's meta."""
        last = b""
        for record in self.records(b"META"):
            key = self.text(record["key"], MAX_NAME)
            value = self.text(record["value"], MAX_META_VALUE, free_text=True)
            if key.encode() <= last:
                fail("corrupt", f"meta key {key!r}: keys are not empty, unique and sorted")
            last = key.encode()
            self.model.meta[key] = value
