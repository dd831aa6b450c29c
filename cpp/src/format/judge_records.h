// The parts of read_model(), each judging one kind of record of an otherwise judged container.
#ifndef EDGECV_FORMAT_JUDGE_RECORDS_H_
#define EDGECV_FORMAT_JUDGE_RECORDS_H_

#include <stddef.h>
#include <stdint.h>

#include "format/reader.h"

namespace edgecv::format {

// A value this version does not define: kVersion when the file says it is newer, otherwise
// kCorrupt.
inline Status unknown_value(const ParsedModel& model) {
  return model.header.version_minor > kVersionMinor ? Status::kVersion : Status::kCorrupt;
}

template <typename T>
bool all_zero(const T& values) {
  const uint8_t* p = reinterpret_cast<const uint8_t*>(&values);
  for (size_t i = 0; i < sizeof(values); ++i) {
    if (p[i] != 0) return false;
  }
  return true;
}
bool zero_bytes(const uint8_t* bytes, size_t size);

// Scale and multiplier range: finite, positive, 2^-100 .. the given power of two. False on NaN.
inline bool in_range(float value, float lo, float hi) { return value >= lo && value <= hi; }
constexpr float kSmallest = 0x1p-100f;
constexpr float kLargestScale = 0x1p100f;
constexpr float kLargestMultiplier = 0x1p20f;

// STRS as a whole: UTF-8, no control characters but tab and line feed, every string ended by a NUL.
Status judge_strings(const ParsedModel& model, Error* error);
// One reference; `record` and `index` are for the message. Tabs and line feeds only with
// `free_text`.
Status judge_string(const ParsedModel& model, StringRef ref, uint32_t max_bytes, bool free_text,
                    const char* record, uint32_t index, Error* error);

Status judge_meta(const ParsedModel& model, const Limits& limits, Error* error);
// Fills model->constants and owned_constants too. `data` is DATA in the mapping.
Status judge_tensors(ParsedModel* model, const Limits& limits, const uint8_t* data,
                     size_t data_size, Error* error);
Status judge_preprocess(const ParsedModel& model, Error* error);
// Fills model->input_ports.
Status judge_ports(ParsedModel* model, const Limits& limits, Error* error);
// Operand lists and order of the ops.
Status judge_graph(ParsedModel* model, const Limits& limits, Error* error);
Status judge_goldens(const ParsedModel& model, Error* error);

}  // namespace edgecv::format

#endif  // EDGECV_FORMAT_JUDGE_RECORDS_H_
