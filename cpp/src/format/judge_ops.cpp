#include "format/judge_ops.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "format/op_judge.h"

namespace edgecv::format {
namespace {

const char* dtype_name(Dtype dtype) {
  return dtype == Dtype::kF32 ? "f32" : dtype == Dtype::kS8 ? "s8" : "s32";
}

}  // namespace

Status OpJudge::bad(const char* format, ...) const {
  char rule[256];
  va_list args;
  va_start(args, format);
  vsnprintf(rule, sizeof(rule), format, args);
  va_end(args);
  return fail(error_, Status::kCorrupt, "op %u '%.120s' (%s): %s", index_, model.op_name(index_),
              op_code_name(op.code), rule);
}

Status OpJudge::inputs(uint32_t count, uint32_t optional) const {
  if (op.input_count != count) return bad("%u inputs, not %u", op.input_count, count);
  for (uint32_t i = 0; i < count; ++i) {
    if (model.input(op, i) == nullptr && (optional >> i & 1u) == 0)
      return bad("input %u is absent", i);
  }
  if (model.is_constant(model.input_id(op, 0))) return bad("input 0 is a constant");
  return Status::kOk;
}

Status OpJudge::attributes(int ints, int floats) const {
  for (int i = ints; i < kOpInts; ++i) {
    if (op.ints[i] != 0) return bad("ints[%d] is unused and not 0", i);
  }
  for (int i = floats; i < kOpFloats; ++i) {
    if (!all_zero(op.floats[i])) return bad("floats[%d] is unused and not 0", i);
  }
  return Status::kOk;
}

Status OpJudge::int_range(const char* what, int position, int64_t lo, int64_t hi) const {
  const int64_t value = op.ints[position];
  if (value >= lo && value <= hi) return Status::kOk;
  return bad("%s is %lld, not within %lld and %lld", what, static_cast<long long>(value),
             static_cast<long long>(lo), static_cast<long long>(hi));
}

Status OpJudge::activation(uint32_t i, Dtype dtype) const {
  if (model.is_constant(model.input_id(op, i))) return bad("input %u is a constant", i);
  if (in(i).dtype != static_cast<uint8_t>(dtype))
    return bad("input %u is not %s", i, dtype_name(dtype));
  return Status::kOk;
}

Status OpJudge::constant(uint32_t i, Dtype dtype, int rank, const int64_t* dims) const {
  const TensorRecord& tensor = in(i);
  if (!model.is_constant(model.input_id(op, i))) return bad("input %u is not a constant", i);
  if (tensor.dtype != static_cast<uint8_t>(dtype) || !all_zero(tensor.scale)) {
    return bad("input %u is not plain %s", i, dtype_name(dtype));
  }
  bool same = tensor.rank == rank;
  for (int d = 0; same && d < rank; ++d) same = tensor.dims[d] == dims[d];
  if (!same) return bad("input %u has the wrong shape", i);
  return Status::kOk;
}

Status OpJudge::output_dtype(Dtype dtype) const {
  if (y.dtype != static_cast<uint8_t>(dtype)) return bad("the output is not %s", dtype_name(dtype));
  return Status::kOk;
}

Status OpJudge::s8_or_f32() const {
  if (in(0).dtype != y.dtype || y.dtype == static_cast<uint8_t>(Dtype::kS32)) {
    return bad("input and output are not both s8 or both f32");
  }
  return Status::kOk;
}

Status OpJudge::output_dims(int rank, const int64_t* dims) const {
  if (y.rank != rank) return bad("the output has rank %d, not %d", y.rank, rank);
  for (int d = 0; d < rank; ++d) {
    if (y.dims[d] != dims[d]) {
      return bad("dim %d of the output is %d, not %lld", d, y.dims[d],
                 static_cast<long long>(dims[d]));
    }
  }
  return Status::kOk;
}

Status OpJudge::output_dims_of(const TensorRecord& tensor) const {
  int64_t dims[kMaxRank];
  for (int d = 0; d < kMaxRank; ++d) dims[d] = tensor.dims[d];
  return output_dims(tensor.rank, dims);
}

Status OpJudge::moves(const TensorRecord& tensor) const {
  if (tensor.dtype != y.dtype || memcmp(&tensor.scale, &y.scale, sizeof(float)) != 0 ||
      tensor.zero_point != y.zero_point) {
    return bad("input and output differ in dtype, scale or zero point");
  }
  return Status::kOk;
}

Status OpJudge::rank_of(const TensorRecord& tensor, int rank) const {
  if (tensor.rank != rank) return bad("an operand has rank %d, not %d", tensor.rank, rank);
  return Status::kOk;
}

Status OpJudge::clamp_s8(int position) const {
  const int32_t lo = op.ints[position];
  const int32_t hi = op.ints[position + 1];
  if (lo < -128 || lo > hi || hi > 127) return bad("lo %d and hi %d are no range of s8", lo, hi);
  return Status::kOk;
}

Status OpJudge::clamp_f32() const {
  if (!(op.floats[0] <= op.floats[1])) return bad("lo is above hi, or one is a NaN");
  return Status::kOk;
}

Status OpJudge::multiplier(const char* what, int64_t position, float m, int64_t bound) const {
  if (!in_range(m, kSmallest, kLargestMultiplier)) {
    return bad("%s[%lld] is %g, not within 2^-100 and 2^20", what, static_cast<long long>(position),
               static_cast<double>(m));
  }
  if (!(static_cast<double>(bound) * static_cast<double>(m) < 2147483648.0)) {
    return bad("%s[%lld] = %g takes an accumulator of %lld beyond 2^31", what,
               static_cast<long long>(position), static_cast<double>(m),
               static_cast<long long>(bound));
  }
  return Status::kOk;
}

int64_t sum_abs(const int8_t* values, int64_t count) {
  int64_t total = 0;
  while (count > 0) {
    const int block = count < 65536 ? static_cast<int>(count) : 65536;  // an int32 holds 2^16 * 128
    int32_t sum = 0;
    for (int i = 0; i < block; ++i) sum += values[i] < 0 ? -values[i] : values[i];
    total += sum;
    values += block;
    count -= block;
  }
  return total;
}

Status judge_op(const ParsedModel& model, uint32_t index, int64_t* work, Error* error) {
  const OpJudge j(model, index, error);
  *work = 0;
  switch (j.op.code) {
#define EDGECV_OP(name, code) \
  case code:                  \
    return judge_##name(j, work);
#include "ops/op_list.inc"
#undef EDGECV_OP
    default:
      return j.bad("unknown op code");
  }
}

}  // namespace edgecv::format
