"""Files with one thing wrong, made from golden ones by patching bytes and repairing the CRCs.

Offsets are those of docs/format.md; nothing here comes from the writer or a reader.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any, Callable, Dict, List

from edgecv.format.writer import write

from .golden import Builder, window

ORDER = ["STRS", "META", "TENS", "OPS_", "EPRD", "PORT", "PREP", "GOLD", "DIGS", "DATA"]
RECORD = {"META": 16, "TENS": 96, "OPS_": 136, "EPRD": 4, "PORT": 40, "PREP": 96, "GOLD": 32}
RECORD["DIGS"] = 120
INTS, FLOATS = 24, 88  # in an op record


class Section:
    def __init__(self, kind: str, flags: int, data: bytes, count: int) -> None:
        self.kind, self.flags, self.data, self.count = kind, flags, bytearray(data), count


class File:
    """A taken apart file; :meth:`join` puts it together with right offsets, sizes and CRCs."""

    def __init__(self, data: bytes) -> None:
        self.header = bytearray(data[:64])
        count = struct.unpack_from("<I", data, 12)[0]
        self.sections: List[Section] = []
        for i in range(count):
            kind, flags, offset, size, _, n = struct.unpack_from("<4sIQQII", data, 64 + 32 * i)
            body = data[offset : offset + size]
            self.sections.append(Section(kind.decode(), flags, body, n))

    def __getitem__(self, kind: str) -> Section:
        return next(section for section in self.sections if section.kind == kind)

    def put(self, kind: str, index: int, offset: int, form: str, *values: Any) -> File:
        """Patches one field of record ``index``; counts follow the size of the section."""
        at = index * RECORD.get(kind, 1) + offset
        struct.pack_into("<" + form, self[kind].data, at, *values)
        return self

    def get(self, kind: str, index: int, offset: int, form: str) -> Any:
        at = index * RECORD.get(kind, 1) + offset
        return struct.unpack_from("<" + form, self[kind].data, at)[0]

    def constant(self, tensor: int, element: int, form: str, value: Any) -> File:
        """Patches an element of a constant."""
        at = self.get("TENS", tensor, 56, "Q") + element * struct.calcsize(form)
        struct.pack_into("<" + form, self["DATA"].data, at, value)
        return self

    def operand(self, op: int, i: int) -> int:
        """Tensor id of an op's input."""
        return int(self.get("EPRD", self.get("OPS_", op, 12, "I") + i, 0, "I"))

    def join(self) -> bytes:
        start = 64 + 32 * len(self.sections)
        start += -start % 64
        table, body = b"", b""
        for s in self.sections:
            if s.kind in ORDER:
                s.count = len(s.data) // RECORD.get(s.kind, 1)
            place = (s.flags, start + len(body), len(s.data), zlib.crc32(s.data), s.count)
            table += struct.pack("<4sIQQII", s.kind.encode(), *place)
            body += bytes(s.data) + bytes(-len(s.data) % 64)
        head = self.header
        struct.pack_into("<IQ", head, 12, len(self.sections), start + len(body))
        data = bytes(head) + table + bytes(start - 64 - len(table)) + body
        return repair(data)


def repair(data: bytes) -> bytes:
    """The file with the CRCs of its sections, then that of its header, made right."""
    out = bytearray(data)
    if len(out) < 64:
        return data
    count = min(struct.unpack_from("<I", out, 12)[0], (len(out) - 64) // 32)
    for i in range(count):
        offset, size = struct.unpack_from("<QQ", out, 64 + 32 * i + 8)
        if offset + size <= len(out):
            struct.pack_into("<I", out, 64 + 32 * i + 24, zlib.crc32(out[offset : offset + size]))
    struct.pack_into("<I", out, 28, 0)
    struct.pack_into("<I", out, 28, zlib.crc32(out[: 64 + 32 * count]))
    return bytes(out)


def raw(data: bytes, offset: int, form: str, value: Any, fix: bool = True) -> bytes:
    """Patches bytes of the whole file."""
    out = bytearray(data)
    struct.pack_into("<" + form, out, offset, value)
    return repair(bytes(out)) if fix else bytes(out)


def op_index(file: File, code: int) -> int:
    """The first op of that code."""
    count = len(file["OPS_"].data) // 136
    return next(i for i in range(count) if file.get("OPS_", i, 8, "H") == code)


def bad_files(golden: Dict[str, bytes]) -> Dict[str, bytes]:
    """Name ``<status>__<why>`` -> bytes."""
    mlp, convnet, s8ops, f32ops = (golden[n] for n in ("mlp", "convnet", "s8ops", "f32ops"))
    coded = golden["coded"]
    bad: Dict[str, bytes] = {}

    def edit(name: str, data: bytes, change: Callable[[File], Any]) -> None:
        file = File(data)
        change(file)
        bad[name] = file.join()

    def op_int(name: str, data: bytes, code: int, position: int, value: int) -> None:
        edit(
            name, data, lambda f: f.put("OPS_", op_index(f, code), INTS + 4 * position, "i", value)
        )

    def op_float(name: str, data: bytes, code: int, position: int, value: float) -> None:
        at = FLOATS + 4 * position
        edit(name, data, lambda f: f.put("OPS_", op_index(f, code), at, "f", value))

    def tensor(name: str, data: bytes, index: int, offset: int, form: str, value: Any) -> None:
        edit(name, data, lambda f: f.put("TENS", index, offset, form, value))

    def constant(
        name: str, data: bytes, code: int, i: int, element: int, form: str, value: Any
    ) -> None:
        def change(f: File) -> None:
            f.constant(f.operand(op_index(f, code), i), element, form, value)

        edit(name, data, change)

    nan, inf, tiny = float("nan"), float("inf"), 2.0**-140

    # The container.
    bad["not_ecv__text"] = b"# a readme\n" * 20
    bad["not_ecv__line_ends_changed"] = mlp.replace(b"\r\n\x1a", b"\n\x1a", 1)
    bad["truncated__empty"] = b""
    bad["truncated__magic_alone"] = mlp[:8]
    bad["truncated__half"] = mlp[: len(mlp) // 2]
    bad["truncated__last_byte"] = mlp[:-1]
    bad["version__major_2"] = raw(mlp, 8, "H", 2)
    bad["version__major_0"] = raw(mlp, 8, "H", 0)
    bad["version__minor_2_with_an_op_code_of_its_own"] = raw(
        File(mlp).put("OPS_", 1, 8, "H", 26).join(), 10, "H", 2
    )
    bad["corrupt__trailing_bytes"] = mlp + bytes(64)
    bad["corrupt__table_larger_than_the_file"] = raw(File(mlp).join()[:64], 16, "Q", 64)
    bad["limit__65_sections"] = raw(mlp, 12, "I", 65)
    bad["checksum__header"] = raw(mlp, 28, "I", 0, fix=False)
    bad["checksum__section_table"] = raw(mlp, 64 + 28, "B", 1, fix=False)
    bad["checksum__data"] = raw(mlp, len(mlp) - 64, "B", 200, fix=False)
    bad["corrupt__header_hash_is_reserved"] = raw(mlp, 40, "B", 1)
    edit(
        "version__unknown_critical_section",
        mlp,
        lambda f: f.sections.append(Section("NEW_", 1, b"x", 1)),
    )
    edit("corrupt__section_missing", mlp, lambda f: f.sections.pop(6))
    edit("corrupt__section_twice", mlp, lambda f: f.sections.insert(1, f.sections[0]))
    edit("corrupt__sections_swapped", mlp, lambda f: f.sections.insert(1, f.sections.pop(2)))
    bad["corrupt__sections_overlap"] = raw(mlp, 64 + 32 + 8, "Q", 384)
    extra = File(mlp)
    extra.sections.append(Section("xtra", 0, b"", 0))
    bad["corrupt__section_end_wraps"] = raw(extra.join(), 64 + 10 * 32 + 16, "Q", 2**64 - 64)
    place = struct.unpack_from("<Q", mlp, 64 + 9 * 32 + 8)[0]
    gap = raw(raw(mlp, 64 + 9 * 32 + 8, "Q", place + 64), 16, "Q", len(mlp) + 64)
    bad["corrupt__gap_between_sections"] = repair(gap[:place] + bytes(64) + gap[place:])
    bad["corrupt__count_does_not_fit_size"] = raw(mlp, 64 + 2 * 32 + 28, "I", 3)
    bad["corrupt__padding_not_zero"] = raw(mlp, len(mlp) - 1, "B", 1)
    # Strings and meta.
    edit("corrupt__strings_not_utf8", mlp, lambda f: f.put("STRS", 0, 0, "B", 0xFF))
    not_utf8 = {
        "overlong_of_2": b"\xc0\xaf",
        "overlong_of_3": b"\xe0\x80\xaf",
        "overlong_of_4": b"\xf0\x80\x80\xaf",
        "surrogate": b"\xed\xa0\x80",
        "above_the_last": b"\xf4\x90\x80\x80",
        "cut_off": b"\xe2\x82",
    }
    for why, sequence in not_utf8.items():

        def append(f: File, sequence: bytes = sequence) -> None:
            f["STRS"].data += sequence + b"\0"

        edit(f"corrupt__strings_utf8_{why}", mlp, append)
    edit("corrupt__strings_unterminated", mlp, lambda f: f["STRS"].data.append(65))
    edit("corrupt__name_with_escape_character", mlp, lambda f: f.put("STRS", 0, 0, "B", 0x1B))
    tensor("corrupt__name_outside_strings", mlp, 0, 4, "I", 2**32 - 1)
    tensor("corrupt__name_is_part_of_a_string", mlp, 1, 0, "I", 3)
    edit("corrupt__meta_keys_twice", mlp, lambda f: f["META"].data.extend(f["META"].data[-16:]))

    def long_name(f: File) -> None:
        f.put("TENS", 0, 0, "II", len(f["STRS"].data), 5000)
        f["STRS"].data += b"n" * 5000 + b"\0"

    edit("limit__name_of_5000_bytes", mlp, long_name)
    # Tensors.
    tensor("corrupt__dtype_0", mlp, 0, 8, "B", 0)
    tensor("corrupt__state_tensor", mlp, 0, 9, "B", 2)
    tensor("corrupt__coded_in_version_1_0", mlp, 2, 10, "B", 1)
    tensor("corrupt__rank_0", mlp, 0, 11, "B", 0)
    tensor("corrupt__rank_9", mlp, 0, 11, "B", 9)
    tensor("corrupt__zero_dim", mlp, 0, 12, "i", 0)
    tensor("corrupt__negative_dim", mlp, 0, 12, "i", -2)
    tensor("corrupt__dim_past_the_rank", mlp, 0, 20, "i", 1)
    tensor("corrupt__reserved_tensor_field", mlp, 0, 52, "I", 1)
    edit(
        "limit__tensor_of_2_to_63_bytes",
        mlp,
        lambda f: f.put("TENS", 0, 12, "ii", 2**31 - 1, 2**30),
    )
    for why, value in (("nan", nan), ("infinite", inf), ("zero", 0.0), ("subnormal", tiny)):
        tensor(f"corrupt__scale_{why}", mlp, 1, 44, "f", value)
    tensor("corrupt__scale_negative", mlp, 1, 44, "f", -0.5)
    tensor("corrupt__scale_of_an_f32_tensor", mlp, 0, 44, "f", 0.5)
    tensor("corrupt__zero_point_128", mlp, 1, 48, "i", 128)
    tensor("corrupt__constants_overlap", mlp, 3, 56, "Q", 0)
    tensor("corrupt__constant_behind_data", mlp, 4, 64, "Q", 2**40)
    edit("corrupt__data_with_a_tail", mlp, lambda f: f["DATA"].data.append(0))
    edit("corrupt__padding_between_constants", mlp, lambda f: f.put("DATA", 0, 63, "B", 1))
    bad.update(bad_codings(coded))
    # Graph.
    edit("corrupt__op_code_0", mlp, lambda f: f.put("OPS_", 0, 8, "H", 0))
    edit("corrupt__op_flags", mlp, lambda f: f.put("OPS_", 0, 10, "H", 1))
    edit("corrupt__input_out_of_range", mlp, lambda f: f.put("EPRD", 0, 0, "I", 99))
    edit("corrupt__input_absent", mlp, lambda f: f.put("EPRD", 0, 0, "I", 2**32 - 1))
    # Lookup and PRelu of s8ops read and write the same shape: only the order is wrong.
    for why, code in (("what_comes_later", 11), ("its_own_output", 9)):

        def read_output_of(f: File, code: int = code) -> None:
            later = f.get("OPS_", op_index(f, code), 20, "I")
            f.put("EPRD", f.get("OPS_", op_index(f, 9), 12, "I"), 0, "I", later)

        edit(f"corrupt__reads_{why}", s8ops, read_output_of)

    def write_twice(f: File) -> None:  # what is then never written becomes a graph input
        lookup, prelu = (f.get("OPS_", op_index(f, code), 20, "I") for code in (9, 11))
        f.put("OPS_", op_index(f, 11), 20, "I", lookup)
        ports = f["PORT"].data
        extra = bytearray(ports[40:80])  # an output; its name is free among the inputs
        struct.pack_into("<IB", extra, 8, prelu, 0)
        f["PORT"].data = ports[:40] + extra + ports[40:]

    edit("corrupt__output_written_twice", s8ops, write_twice)
    edit("corrupt__output_is_a_graph_input", mlp, lambda f: f.put("OPS_", 0, 20, "I", 0))
    edit("corrupt__output_is_a_constant", mlp, lambda f: f.put("OPS_", 1, 20, "I", 2))
    edit("corrupt__input_lists_overlap", mlp, lambda f: f.put("OPS_", 1, 12, "I", 0))
    edit("corrupt__input_list_too_long", mlp, lambda f: f.put("OPS_", 2, 16, "I", 2**32 - 1))
    edit("corrupt__operand_nobody_uses", mlp, lambda f: f["EPRD"].data.extend(bytes(4)))
    edit("corrupt__port_axes_twice", convnet, lambda f: f.put("PORT", 0, 15, "B", 0))
    edit("corrupt__port_names_a_constant", mlp, lambda f: f.put("PORT", 1, 8, "I", 2))
    edit("corrupt__no_output", mlp, lambda f: f["PORT"].data.__delitem__(slice(40, 80)))
    edit("corrupt__output_is_the_input", mlp, lambda f: f.put("PORT", 1, 8, "I", 0))

    def swap_ports(f: File) -> None:
        f["PORT"].data = f["PORT"].data[40:] + f["PORT"].data[:40]

    edit("corrupt__outputs_before_inputs", mlp, swap_ports)
    edit("corrupt__preprocess_of_another_size", convnet, lambda f: f.put("PREP", 0, 20, "i", 5))
    edit("corrupt__preprocess_std_zero", convnet, lambda f: f.put("PREP", 0, 48, "f", 0.0))
    edit("limit__preprocess_side", convnet, lambda f: f.put("PREP", 0, 12, "ii", 8193, 8193))
    edit("corrupt__digest_of_no_op", mlp, lambda f: f.put("DIGS", 0, 0, "I", 3))
    edit("corrupt__digests_left_over", mlp, lambda f: f.put("GOLD", 1, 8, "I", 2))
    # Ops.
    op_int("corrupt__stride_zero", convnet, 1, 0, 0)
    op_int("corrupt__dilation_zero", convnet, 1, 2, 0)
    op_int("corrupt__pad_negative", convnet, 1, 4, -1)
    op_int("corrupt__pad_huge", convnet, 1, 4, 2**31 - 1)
    op_int("corrupt__groups_zero", convnet, 1, 8, 0)
    op_int("corrupt__groups_do_not_divide", convnet, 1, 8, 2)
    op_int("corrupt__lo_above_hi", convnet, 1, 10, 2)
    op_int("corrupt__hi_above_127", convnet, 1, 10, 128)
    op_int("corrupt__unused_int", convnet, 1, 15, 1)
    op_float("corrupt__unused_float", convnet, 1, 0, 1.0)
    op_int("corrupt__pool_kernel_zero", convnet, 14, 0, 0)

    def window_above(f: File) -> None:  # the pads move from below to above: the shapes still fit
        f.put("OPS_", op_index(f, 14), INTS + 4 * 6, "iiii", 2, 0, 0, 1)

    edit("corrupt__pool_window_in_the_padding", convnet, window_above)
    constant("corrupt__multiplier_nan", mlp, 3, 3, 0, "f", nan)
    constant("corrupt__multiplier_negative", mlp, 3, 3, 1, "f", -0.5)
    constant("corrupt__multiplier_zero", mlp, 3, 3, 1, "f", 0.0)
    constant("corrupt__multiplier_subnormal", mlp, 3, 3, 3, "f", tiny)
    constant("corrupt__multiplier_above_2_to_20", mlp, 3, 3, 3, "f", 2.0**21)
    constant("corrupt__multiplier_times_bound_above_2_to_31", mlp, 3, 3, 0, "f", 2.0**20)
    constant("corrupt__accumulator_overflow", mlp, 3, 2, 0, "i", -(2**31))
    constant("corrupt__bias_at_the_bound", mlp, 3, 2, 2, "i", 2**31 - 2)
    constant("corrupt__softmax_table_grows", convnet, 12, 1, 9, "i", 2**30)
    constant("corrupt__softmax_table_empty", convnet, 12, 1, 0, "i", 0)
    op_float("corrupt__add_multiplier", convnet, 5, 1, inf)
    op_float("corrupt__mul_multiplier_above_the_bound", s8ops, 7, 0, 2.0**20)
    op_float("corrupt__layer_norm_e_zero", s8ops, 13, 0, 0.0)
    op_int("corrupt__axis_out_of_range", s8ops, 17, 0, 4)
    op_int("corrupt__slice_beyond_the_input", s8ops, 18, 1, 2)
    op_int("corrupt__slice_step_zero", s8ops, 18, 8, 0)
    op_int("corrupt__pad_outside_the_output", s8ops, 19, 2, 2)
    op_int("corrupt__perm_twice", s8ops, 21, 2, 3)
    constant("corrupt__resize_index_negative", s8ops, 22, 1, 0, "i", -1)
    constant("corrupt__resize_index_behind_the_image", s8ops, 22, 3, 1, "i", 3)
    constant("corrupt__resize_weight", s8ops, 22, 2, 0, "i", 2049)
    op_int("corrupt__unknown_function", f32ops, 10, 0, 21)
    op_float("corrupt__clamp_nan", f32ops, 1, 0, nan)
    bad["limit__work"] = heavy()
    return bad


def bad_codings(coded: bytes) -> Dict[str, bytes]:
    """The same for coded constants; layers are numbered as golden.coded has them."""
    bad: Dict[str, bytes] = {}
    nibbles, book, bitmap, table, rows = 0, 1, 3, 4, 5

    def edit(name: str, op: int, offset: int, form: str, value: int, minor: int = 1) -> None:
        """Patches the stored bytes of a layer's weights; a negative offset is from their end."""
        file = File(coded)
        tensor = file.operand(op, 1)
        at = file.get("TENS", tensor, 56, "Q") + offset
        at += file.get("TENS", tensor, 64, "Q") if offset < 0 else 0
        file.put("DATA", 0, at, form, value)
        file.header[10] = minor
        bad[name] = file.join()

    def record(name: str, tensor: int, offset: int, form: str, *values: int) -> None:
        bad[name] = File(coded).put("TENS", tensor, offset, form, *values).join()

    weights = [File(coded).operand(op, 1) for op in range(9)]
    record("corrupt__encoding_2", weights[nibbles], 10, "B", 2)
    record("corrupt__coded_activation", File(coded).operand(0, 0), 10, "B", 1)
    record("corrupt__coded_s32", File(coded).operand(0, 2), 10, "B", 1)
    record("corrupt__coded_gigabyte", weights[nibbles], 12, "ii", 2**15, 2**15)
    record("corrupt__coded_of_another_shape", weights[nibbles], 12, "ii", 16, 17)
    record("corrupt__coded_without_bytes", weights[nibbles], 64, "Q", 0)
    record("corrupt__coded_of_2_to_63_bytes", weights[nibbles], 64, "Q", 2**63)
    edit("corrupt__coded_by_an_unknown_mapping", nibbles, 0, "B", 3)
    edit("version__coded_by_a_packing_of_minor_2", nibbles, 1, "B", 2, minor=2)
    edit("corrupt__coded_with_reserved_bytes", nibbles, 13, "B", 1)
    edit("corrupt__coded_width_0", nibbles, 2, "B", 0)
    edit("corrupt__coded_width_9", nibbles, 2, "B", 9)
    edit("corrupt__coded_width_5_of_4", nibbles, 2, "B", 5)
    edit("corrupt__coded_codes_without_codebook", nibbles, 4, "H", 4)
    edit("corrupt__coded_lanes_without_streams", nibbles, 7, "B", 1)
    edit("corrupt__coded_number_of_symbols", nibbles, 8, "I", 255)
    edit("corrupt__coded_symbol_behind_the_codebook", book, -1, "B", 255)
    edit("corrupt__coded_codebook_of_none", book, 4, "H", 0)
    edit("corrupt__coded_codebook_of_9_by_3_bits", book, 4, "H", 9)
    edit("corrupt__coded_bitmap_of_others", bitmap, 16, "B", 0)
    edit("corrupt__coded_more_symbols_than_bits", bitmap, 8, "I", 2**31)
    edit("corrupt__coded_classes_0", table, 6, "B", 0)
    edit("corrupt__coded_classes_17", table, 6, "B", 17)
    edit("corrupt__coded_lanes_512", table, 7, "B", 9)
    edit("corrupt__coded_columns_of_1_class", table, 12, "B", 1)
    edit("corrupt__coded_frequencies", table, 18, "B", 127)
    edit("corrupt__coded_table_past_its_alphabet", table, 17, "B", 255)
    edit("corrupt__coded_stream_that_ends_elsewhere", table, -2, "B", 255)
    edit("corrupt__coded_class_without_table", rows, 16, "B", 0x20)
    return bad


def heavy() -> bytes:
    """A well-formed file whose one op asks for 2^43 multiply-accumulates."""
    b = Builder("heavy", 0)
    shape = (1, 16, 16, 1)
    attrs = dict(kernel_h=3, kernel_w=3, **window(1, 1))
    b.output("y", b.node("MaxPool2d", [b.input("x", shape, "f32")], shape, "f32", **attrs))
    file = File(write(b.graph, meta={}, preprocess={}))
    for tensor in range(2):
        file.put("TENS", tensor, 16, "ii", 2**14, 2**14)
    file.put("OPS_", 0, INTS, "ii", 181, 181)
    file.put("OPS_", 0, INTS + 4 * 6, "iiii", 90, 90, 90, 90)
    return file.join()
