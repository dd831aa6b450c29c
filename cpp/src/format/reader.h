// Reads an .ecv file: the only place that judges the numbers of a file. docs/format.md is the
// contract.
//
// After read_model() returned kOk everything in ParsedModel holds what docs/format.md and
// docs/ops.md promise: ids and string references are in range, ops are in an order in which they
// can run, shapes, dtypes, attributes, tables and accumulator bounds of every op are right. Nobody
// behind this header checks again.
#ifndef EDGECV_FORMAT_READER_H_
#define EDGECV_FORMAT_READER_H_

#include <stddef.h>
#include <stdint.h>

#include "base/allocator.h"
#include "base/array.h"
#include "base/status.h"
#include "format/layout.h"

namespace edgecv::format {

// What a file may ask for; above is Status::kLimit. The defaults are those of docs/format.md. An
// app that loads files of strangers lowers them.
struct Limits {
  uint64_t file_bytes = (uint64_t{1} << 31) - 1;
  uint32_t sections = 64;
  uint32_t string_bytes = 16u << 20;  // the whole of STRS
  uint32_t name_bytes = 4096;         // names and META keys
  uint32_t meta_value_bytes = 1u << 20;
  uint32_t meta = 1024;
  uint32_t tensors = 65536;
  uint32_t ops = 65536;
  uint32_t operands = 1u << 20;
  uint32_t ports = 256;
  uint32_t preprocess = 256;
  uint32_t goldens = 64;
  uint32_t digests = 1u << 18;
  int64_t tensor_bytes = int64_t{1} << 30;   // of one tensor, not coded
  int64_t decoded_bytes = int64_t{1} << 31;  // of all coded constants, decoded
  int64_t work =
      int64_t{1} << 42;  // multiply-accumulates of one run, see op_work in docs/format.md
  // Judged by the planner, which alone knows them: activations and scratch of one session, and
  // weights as packed for this machine.
  uint64_t arena_bytes = uint64_t{1} << 30;
  uint64_t packed_bytes = uint64_t{1} << 31;
};

// One file, judged. Records are copies; strings are copies; constants point into the mapping given
// to read_model(), which must outlive this, except those of dtype s32 (indices, tables, biases),
// which are copies, so that nothing a memory access depends on can change under a mapping, and
// coded ones, which are decoded.
struct ParsedModel {
  explicit ParsedModel(const Allocator& memory)
      : allocator(memory),
        sections(memory),
        strings(memory),
        meta(memory),
        tensors(memory),
        ops(memory),
        operands(memory),
        ports(memory),
        preprocess(memory),
        goldens(memory),
        digests(memory),
        constants(memory),
        owned_constants(memory),
        decoded(memory) {}
  ~ParsedModel() {
    for (uint8_t* values : decoded) allocator.release(allocator.context, values);
  }

  const Allocator& allocator;
  FileHeader header = {};
  Array<SectionEntry> sections;  // as in the file, unknown ones included
  Array<char> strings;           // STRS; every string ends with a NUL
  Array<MetaRecord> meta;
  Array<TensorRecord> tensors;
  Array<OpRecord> ops;
  Array<uint32_t> operands;
  Array<PortRecord> ports;   // inputs first, then outputs
  uint32_t input_ports = 0;  // how many of `ports` are inputs
  Array<PreprocessRecord> preprocess;
  Array<GoldenRecord> goldens;
  Array<DigestRecord> digests;
  Array<const uint8_t*> constants;  // by tensor id; null for activations; 64-byte aligned
  Array<uint8_t> owned_constants;   // the copies of the s32 constants
  Array<uint8_t*> decoded;          // by tensor id; null but for coded constants
  const uint8_t* data = nullptr;    // DATA in the mapping
  int64_t work = 0;                 // multiply-accumulates of one run, all ops

  const char* text(StringRef ref) const { return strings.data() + ref.offset; }
  const char* tensor_name(uint32_t tensor) const { return text(tensors[tensor].name); }
  const char* op_name(uint32_t op) const { return text(ops[op].name); }
  const char* meta_value(const char* key) const;  // null when there is none

  // Tensor id of an op's input; kAbsent when that optional input is not there or past input_count.
  uint32_t input_id(const OpRecord& op, uint32_t index) const {
    return index < op.input_count ? operands[op.first_input + index] : kAbsent;
  }
  // The same as a record, null when absent.
  const TensorRecord* input(const OpRecord& op, uint32_t index) const {
    const uint32_t id = input_id(op, index);
    return id == kAbsent ? nullptr : &tensors[id];
  }
  const TensorRecord& output(const OpRecord& op) const { return tensors[op.output]; }
  bool is_constant(uint32_t tensor) const {
    return tensors[tensor].kind == static_cast<uint8_t>(TensorKind::kConstant);
  }
  // Frees the values of a coded constant: constants[tensor] is null from then on.
  void drop_decoded(uint32_t tensor) {
    allocator.release(allocator.context, decoded[tensor]);
    decoded[tensor] = nullptr;
    constants[tensor] = nullptr;
  }
  // Values of an op's constant input; null when the input is absent or an activation.
  template <typename T>
  const T* constant(const OpRecord& op, uint32_t index) const {
    const uint32_t id = input_id(op, index);
    return id == kAbsent ? nullptr : reinterpret_cast<const T*>(constants[id]);
  }
};

// Bytes of one element; 0 for an unknown dtype.
inline int64_t dtype_bytes(uint8_t dtype) {
  return dtype == static_cast<uint8_t>(Dtype::kS8) ? 1
         : dtype == static_cast<uint8_t>(Dtype::kF32) || dtype == static_cast<uint8_t>(Dtype::kS32)
             ? 4
             : 0;
}
// Product of the dims; of a judged record it fits.
inline int64_t element_count(const TensorRecord& tensor) {
  int64_t count = 1;
  for (int i = 0; i < tensor.rank; ++i) count *= tensor.dims[i];
  return count;
}
inline int64_t tensor_bytes(const TensorRecord& tensor) {
  return element_count(tensor) * dtype_bytes(tensor.dtype);
}

// Decodes a coded constant again into its tensor_bytes() at `out`, whether or not its values were
// dropped.
Status decode_constant(const ParsedModel& model, uint32_t tensor, uint8_t* out, Error* error);

// The op's name in op_list.inc ("Conv2d"), null for an unknown code.
const char* op_code_name(uint16_t code);

// Judges `size` bytes at `bytes` (64-byte aligned, see source.h) and fills *out, which must be
// fresh. On failure *out may be partly filled and is good for nothing but destruction.
//   kNotEcv, kVersion, kTruncated, kChecksum, kCorrupt, kLimit: what docs/format.md says
//   kOutOfMemory; kInvalidArgument when `bytes` is null or not aligned
Status read_model(const uint8_t* bytes, size_t size, const Limits& limits, ParsedModel* out,
                  Error* error);

}  // namespace edgecv::format

#endif  // EDGECV_FORMAT_READER_H_
