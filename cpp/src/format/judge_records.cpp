// Strings, meta, tensors, goldens.
#include "format/judge_records.h"

#include <inttypes.h>
#include <string.h>

#include "base/checked.h"
#include "format/coded.h"

namespace edgecv::format {
namespace {

constexpr int64_t kAlign = 64;

// Length of the UTF-8 sequence at p, 0 when it is none (overlong, a surrogate, above U+10FFFF, cut
// off).
size_t utf8_sequence(const uint8_t* p, size_t left) {
  const uint8_t lead = p[0];
  if (lead < 0x80) return 1;
  size_t length;
  uint8_t low = 0x80;
  uint8_t high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return 0;
  }
  if (length > left || p[1] < low || p[1] > high) return 0;
  for (size_t i = 2; i < length; ++i) {
    if ((p[i] & 0xC0) != 0x80) return 0;
  }
  return length;
}

bool control_character(uint8_t c) { return c < 0x20 || c == 0x7F; }

uint32_t bits(float value) {
  uint32_t out;
  memcpy(&out, &value, sizeof(out));
  return out;
}

Status bad_tensor(const ParsedModel& model, uint32_t i, Status status, const char* rule,
                  Error* error) {
  return fail(error, status, "tensor %u '%.120s': %s", i, model.tensor_name(i), rule);
}

Status judge_shape(const ParsedModel& model, uint32_t i, const Limits& limits, Error* error) {
  const TensorRecord& tensor = model.tensors[i];
  if (tensor.rank < 1 || tensor.rank > kMaxRank) {
    return bad_tensor(model, i, Status::kCorrupt, "rank is not 1 to 8", error);
  }
  for (int d = 0; d < kMaxRank; ++d) {
    if (d < tensor.rank ? tensor.dims[d] < 1 : tensor.dims[d] != 0) {
      return fail(error, Status::kCorrupt,
                  "tensor %u '%.120s': dim %d is %d; dims are at least 1, and 0 past the rank", i,
                  model.tensor_name(i), d, tensor.dims[d]);
    }
  }
  int64_t bytes = dtype_bytes(tensor.dtype);
  for (int d = 0; d < tensor.rank; ++d) {
    if (!checked_mul(bytes, int64_t{tensor.dims[d]}, &bytes) || bytes > limits.tensor_bytes) {
      return fail(error, Status::kLimit, "tensor %u '%.120s' has more than %" PRId64 " bytes", i,
                  model.tensor_name(i), limits.tensor_bytes);
    }
  }
  return Status::kOk;
}

Status judge_tensor(const ParsedModel& model, uint32_t i, const Limits& limits, Error* error) {
  const TensorRecord& tensor = model.tensors[i];
  EDGECV_TRY(judge_string(model, tensor.name, limits.name_bytes, false, "tensor", i, error));
  if (dtype_bytes(tensor.dtype) == 0) {
    return bad_tensor(model, i, unknown_value(model), "unknown dtype", error);
  }
  const bool constant = tensor.kind == static_cast<uint8_t>(TensorKind::kConstant);
  if (!constant && tensor.kind != static_cast<uint8_t>(TensorKind::kActivation)) {
    return bad_tensor(model, i, unknown_value(model), "unknown kind", error);
  }
  const bool coded = tensor.encoding == static_cast<uint8_t>(Encoding::kCoded);
  if (tensor.encoding != static_cast<uint8_t>(Encoding::kRaw) &&
      (!coded || model.header.version_minor < 1)) {
    return bad_tensor(model, i, unknown_value(model), "unknown encoding", error);
  }
  if (coded && (!constant || tensor.dtype == static_cast<uint8_t>(Dtype::kS32))) {
    return bad_tensor(model, i, Status::kCorrupt, "only s8 and f32 constants are coded", error);
  }
  if (tensor.reserved0 != 0 || tensor.variant != 0 || !all_zero(tensor.reserved)) {
    return bad_tensor(model, i, unknown_value(model), "reserved fields are not zero", error);
  }
  EDGECV_TRY(judge_shape(model, i, limits, error));
  const bool s8 = tensor.dtype == static_cast<uint8_t>(Dtype::kS8);
  if (!s8 || (constant && bits(tensor.scale) == 0)) {
    if (bits(tensor.scale) != 0 || tensor.zero_point != 0) {
      return bad_tensor(model, i, Status::kCorrupt, "only an s8 tensor with a scale is quantized",
                        error);
    }
  } else {
    if (!in_range(tensor.scale, kSmallest, kLargestScale)) {
      return bad_tensor(model, i, Status::kCorrupt, "scale is not within 2^-100 and 2^100", error);
    }
    if (tensor.zero_point < -128 || tensor.zero_point > 127) {
      return bad_tensor(model, i, Status::kCorrupt, "zero point is not within -128 and 127", error);
    }
  }
  if (!constant && (tensor.offset != 0 || tensor.size != 0)) {
    return bad_tensor(model, i, Status::kCorrupt, "an activation has no data", error);
  }
  return Status::kOk;
}

// Where a coded constant lies whose place is judged.
CodedTensor coded_tensor(const ParsedModel& model, uint32_t i) {
  const TensorRecord& tensor = model.tensors[i];
  return {model.data + tensor.offset,   tensor.size,           tensor.dims[0],
          tensor.dims[tensor.rank - 1], element_count(tensor), dtype_bytes(tensor.dtype)};
}

// Decodes a constant whose record and place are judged; its values are model->decoded[i].
Status decode_tensor(ParsedModel* model, uint32_t i, Error* error) {
  const TensorRecord& tensor = model->tensors[i];
  const CodedTensor coded = coded_tensor(*model, i);
  if (!coded_size_fits(coded)) {
    return bad_tensor(*model, i, Status::kCorrupt, "too few bytes for its elements", error);
  }
  const Allocator& allocator = model->allocator;
  uint8_t* values = static_cast<uint8_t*>(
      allocator.allocate(allocator.context, static_cast<size_t>(tensor_bytes(tensor)), kAlignment));
  if (values == nullptr) {
    return bad_tensor(*model, i, Status::kOutOfMemory, "no memory to decode it", error);
  }
  model->decoded[i] = values;
  model->constants[i] = values;
  return decode_constant(*model, i, values, error);
}

}  // namespace

bool zero_bytes(const uint8_t* bytes, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    if (bytes[i] != 0) return false;
  }
  return true;
}

Status judge_strings(const ParsedModel& model, Error* error) {
  const size_t size = model.strings.size();
  const uint8_t* p = reinterpret_cast<const uint8_t*>(model.strings.data());
  if (size != 0 && p[size - 1] != 0) {
    return fail(error, Status::kCorrupt, "STRS does not end with a zero byte");
  }
  for (size_t i = 0; i < size;) {
    const size_t length = utf8_sequence(p + i, size - i);
    if (length == 0 || (control_character(p[i]) && p[i] != 0 && p[i] != '\t' && p[i] != '\n')) {
      return fail(error, Status::kCorrupt, "byte %zu of STRS is not printable UTF-8", i);
    }
    i += length;
  }
  return Status::kOk;
}

Status judge_string(const ParsedModel& model, StringRef ref, uint32_t max_bytes, bool free_text,
                    const char* record, uint32_t index, Error* error) {
  const uint64_t size = model.strings.size();
  const char* p = model.strings.data();
  if (uint64_t{ref.offset} + ref.size >= size || (ref.offset != 0 && p[ref.offset - 1] != 0) ||
      p[ref.offset + uint64_t{ref.size}] != 0) {
    return fail(error, Status::kCorrupt, "%s %u: %u bytes at %u of STRS are not one of its strings",
                record, index, ref.size, ref.offset);
  }
  if (ref.size > max_bytes) {
    return fail(error, Status::kLimit, "%s %u: a string of %u bytes, the limit is %u", record,
                index, ref.size, max_bytes);
  }
  for (uint32_t i = 0; i < ref.size; ++i) {
    const uint8_t c = static_cast<uint8_t>(p[ref.offset + uint64_t{i}]);
    if (c == 0 || (!free_text && control_character(c))) {
      return fail(error, Status::kCorrupt, "%s %u: a name holds the control character %u", record,
                  index, c);
    }
  }
  return Status::kOk;
}

Status judge_meta(const ParsedModel& model, const Limits& limits, Error* error) {
  for (uint32_t i = 0; i < model.meta.size(); ++i) {
    const MetaRecord& record = model.meta[i];
    EDGECV_TRY(judge_string(model, record.key, limits.name_bytes, false, "meta", i, error));
    EDGECV_TRY(judge_string(model, record.value, limits.meta_value_bytes, true, "meta", i, error));
    // Sorted by the bytes of the key, so that one pass proves that keys are unique.
    if (record.key.size == 0 ||
        (i != 0 && strcmp(model.text(model.meta[i - 1].key), model.text(record.key)) >= 0)) {
      return fail(error, Status::kCorrupt,
                  "meta %u '%.120s': keys are not empty, unique and sorted", i,
                  model.text(record.key));
    }
  }
  return Status::kOk;
}

Status judge_tensors(ParsedModel* model, const Limits& limits, const uint8_t* data,
                     size_t data_size, Error* error) {
  const size_t count = model->tensors.size();
  if (!model->constants.resize(count) || !model->decoded.resize(count)) {
    return fail(error, Status::kOutOfMemory, "no memory for %zu tensors", count);
  }
  model->data = data;
  int64_t end = 0;  // of the constants so far, without padding
  int64_t owned = 0;
  int64_t decoded = 0;
  for (uint32_t i = 0; i < count; ++i) {
    EDGECV_TRY(judge_tensor(*model, i, limits, error));
    if (!model->is_constant(i)) continue;
    const TensorRecord& tensor = model->tensors[i];
    const int64_t begin = (end + kAlign - 1) / kAlign * kAlign;
    const bool coded = tensor.encoding == static_cast<uint8_t>(Encoding::kCoded);
    const int64_t whole = tensor_bytes(tensor);  // at most limits.tensor_bytes
    if (tensor.offset != static_cast<uint64_t>(begin) ||
        (!coded && tensor.size != static_cast<uint64_t>(whole))) {
      return fail(error, Status::kCorrupt,
                  "tensor %u '%.120s' lies at %" PRIu64 " of DATA with %" PRIu64
                  " bytes; it has to be %" PRId64 " with %" PRId64,
                  i, model->tensor_name(i), tensor.offset, tensor.size, begin, whole);
    }
    if (static_cast<uint64_t>(begin) > data_size ||
        tensor.size > data_size - static_cast<uint64_t>(begin)) {
      return bad_tensor(*model, i, Status::kCorrupt, "its data ends behind DATA", error);
    }
    if (!zero_bytes(data + end, static_cast<size_t>(begin - end))) {
      return bad_tensor(*model, i, Status::kCorrupt, "the padding before its data is not zero",
                        error);
    }
    end = begin + static_cast<int64_t>(tensor.size);
    model->constants[i] = data + begin;
    if (coded) {
      decoded += whole;
      if (decoded > limits.decoded_bytes) {
        return fail(error, Status::kLimit,
                    "tensor %u '%.120s': coded constants have more than %" PRId64 " bytes", i,
                    model->tensor_name(i), limits.decoded_bytes);
      }
      EDGECV_TRY(decode_tensor(model, i, error));
    }
    if (tensor.dtype == static_cast<uint8_t>(Dtype::kS32))
      owned += (whole + kAlign - 1) / kAlign * kAlign;
  }
  if (static_cast<uint64_t>(end) != data_size) {
    return fail(error, Status::kCorrupt, "DATA has %zu bytes, its tensors end at %" PRId64,
                data_size, end);
  }
  // At most twice the file: `owned` counts only what lies in it.
  if (!model->owned_constants.resize(static_cast<size_t>(owned))) {
    return fail(error, Status::kOutOfMemory, "no memory for %" PRId64 " bytes of tables", owned);
  }
  uint8_t* copy = model->owned_constants.data();
  for (uint32_t i = 0; i < count; ++i) {
    const TensorRecord& tensor = model->tensors[i];
    if (!model->is_constant(i) || tensor.dtype != static_cast<uint8_t>(Dtype::kS32)) continue;
    memcpy(copy, model->constants[i], static_cast<size_t>(tensor.size));
    model->constants[i] = copy;
    copy += (static_cast<int64_t>(tensor.size) + kAlign - 1) / kAlign * kAlign;
  }
  return Status::kOk;
}

Status decode_constant(const ParsedModel& model, uint32_t tensor, uint8_t* out, Error* error) {
  const char* rule = "";
  const Status status =
      decode(coded_tensor(model, tensor), unknown_value(model), model.allocator, out, &rule);
  return status == Status::kOk ? status : bad_tensor(model, tensor, status, rule, error);
}

Status judge_goldens(const ParsedModel& model, Error* error) {
  uint64_t next = 0;
  for (uint32_t i = 0; i < model.goldens.size(); ++i) {
    const GoldenRecord& golden = model.goldens[i];
    if (golden.kind > 1 || golden.reserved0 != 0 || !all_zero(golden.reserved)) {
      return fail(error, unknown_value(model), "golden %u: unknown kind or reserved fields", i);
    }
    if (golden.first_digest != next || golden.digest_count == 0 ||
        golden.digest_count > model.digests.size() - next) {
      return fail(error, Status::kCorrupt,
                  "golden %u: %u digests from %u; they have to begin at %" PRIu64
                  " and lie within DIGS",
                  i, golden.digest_count, golden.first_digest, next);
    }
    for (uint64_t d = next; d < next + golden.digest_count; ++d) {
      const DigestRecord& digest = model.digests[static_cast<size_t>(d)];
      if (digest.kind > 1 || !all_zero(digest.reserved)) {
        return fail(error, unknown_value(model),
                    "digest %" PRIu64 ": unknown kind or reserved fields", d);
      }
      if (digest.op >= model.ops.size() ||
          (d != next && digest.op <= model.digests[static_cast<size_t>(d) - 1].op)) {
        return fail(error, Status::kCorrupt, "digest %" PRIu64 ": op %u is out of range or order",
                    d, digest.op);
      }
      bool good = true;
      if (digest.kind == 0) {
        good = all_zero(digest.samples) && bits(digest.tolerance) == 0;
      } else {
        good = all_zero(digest.digest) && in_range(digest.tolerance, 0.0f, 0x1p100f) &&
               model.output(model.ops[digest.op]).dtype == static_cast<uint8_t>(Dtype::kF32);
        for (float sample : digest.samples) good = good && in_range(sample, -0x1p127f, 0x1p127f);
      }
      if (!good) {
        return fail(error, Status::kCorrupt, "digest %" PRIu64 ": fields do not fit its kind %u", d,
                    digest.kind);
      }
    }
    next += golden.digest_count;
  }
  if (next != model.digests.size()) {
    return fail(error, Status::kCorrupt, "%zu digests, %" PRIu64 " of them used",
                model.digests.size(), next);
  }
  return Status::kOk;
}

}  // namespace edgecv::format
