// What the judges of the single ops share: one op with its records at hand, and the rules that
// recur.
#ifndef EDGECV_FORMAT_OP_JUDGE_H_
#define EDGECV_FORMAT_OP_JUDGE_H_

#include <stdint.h>

#include "format/judge_records.h"
#include "format/reader.h"

namespace edgecv::format {

class OpJudge {
 public:
  OpJudge(const ParsedModel& model, uint32_t index, Error* error)
      : model(model), op(model.ops[index]), y(model.output(op)), index_(index), error_(error) {}

  // Every failure names the op; printf-like.
  Status bad(const char* format, ...) const __attribute__((format(printf, 2, 3)));

  // Exactly `count` inputs, absent only where `optional` has the bit of the position; input 0 is an
  // activation.
  Status inputs(uint32_t count, uint32_t optional = 0) const;
  // Ints from `ints` on and floats from `floats` on are zero.
  Status attributes(int ints, int floats) const;
  Status int_range(const char* what, int position, int64_t lo, int64_t hi) const;
  // Input `i` is an activation of this dtype.
  Status activation(uint32_t i, Dtype dtype) const;
  // Input `i` is a constant without a scale, of this dtype and these dims.
  Status constant(uint32_t i, Dtype dtype, int rank, const int64_t* dims) const;
  Status constant(uint32_t i, Dtype dtype, int64_t count) const {
    return constant(i, dtype, 1, &count);
  }
  Status output_dtype(Dtype dtype) const;
  // x and y are both s8 or both f32.
  Status s8_or_f32() const;
  Status output_dims(int rank, const int64_t* dims) const;
  Status output_dims_of(const TensorRecord& tensor) const;
  // y has the dtype, scale and zero point of `tensor`: the op moves values.
  Status moves(const TensorRecord& tensor) const;
  Status rank_of(const TensorRecord& tensor, int rank) const;
  // lo and hi at ints[position], ints[position + 1].
  Status clamp_s8(int position) const;
  // lo and hi at floats[0], floats[1].
  Status clamp_f32() const;
  // A multiplier within 2^-100 and 2^20 that keeps an accumulator of at most `bound` below 2^31.
  Status multiplier(const char* what, int64_t position, float m, int64_t bound) const;

  const TensorRecord& in(uint32_t i) const { return *model.input(op, i); }
  bool s8() const { return y.dtype == static_cast<uint8_t>(Dtype::kS8); }

  const ParsedModel& model;
  const OpRecord& op;
  const TensorRecord& y;

 private:
  uint32_t index_;
  Error* error_;
};

constexpr int64_t kLargestAcc = 2147483647;
constexpr int64_t kLargestWindow = 32767;  // kernel, stride, dilation, pad

// The largest |q - zero_point| of an s8 tensor.
inline int64_t reach(const TensorRecord& tensor) {
  const int64_t up = 127 - tensor.zero_point;
  const int64_t down = tensor.zero_point + 128;
  return up > down ? up : down;
}
inline int64_t abs64(int64_t value) { return value < 0 ? -value : value; }
int64_t sum_abs(const int8_t* values, int64_t count);

// One judge an op of op_list.inc; inputs and output ids were judged. *work counts
// multiply-accumulates.
#define EDGECV_OP(name, code) Status judge_##name(const OpJudge& j, int64_t* work);
#include "ops/op_list.inc"
#undef EDGECV_OP

}  // namespace edgecv::format

#endif  // EDGECV_FORMAT_OP_JUDGE_H_
