// Elementwise ops: Add, Sub, Mul, Div, Lookup, Unary, PRelu, Quantize, Dequantize.
#include "format/op_judge.h"

namespace edgecv::format {
namespace {

constexpr int32_t kFunctions = 20;  // of Unary, docs/ops.md

// alpha and beta as the table of docs/ops.md uses them.
int unary_parameters(int32_t function) {
  constexpr int32_t kClip = 2;
  constexpr int32_t kLeakyRelu = 3;
  constexpr int32_t kHardSigmoid = 5;
  constexpr int32_t kElu = 18;
  if (function == kClip || function == kHardSigmoid) return 2;
  return function == kLeakyRelu || function == kElu ? 1 : 0;
}

// numpy's rule for the output dims of two operands.
Status judge_broadcast(const OpJudge& j) {
  const TensorRecord& a = j.in(0);
  const TensorRecord& b = j.in(1);
  const int rank = a.rank > b.rank ? a.rank : b.rank;
  int64_t dims[kMaxRank];
  for (int d = 0; d < rank; ++d) {
    const int da = d - (rank - a.rank);
    const int db = d - (rank - b.rank);
    const int64_t size_a = da < 0 ? 1 : a.dims[da];
    const int64_t size_b = db < 0 ? 1 : b.dims[db];
    if (size_a != size_b && size_a != 1 && size_b != 1)
      return j.bad("the operands do not broadcast");
    dims[d] = size_a == 1 ? size_b : size_a;
  }
  return j.output_dims(rank, dims);
}

// Two operands, one of them at most a constant; s8 only where `allow_s8`.
Status judge_binary(const OpJudge& j, bool allow_s8, int multipliers, int64_t* work) {
  if (j.op.input_count != 2) return j.bad("%u inputs, not 2", j.op.input_count);
  const TensorRecord* a = j.model.input(j.op, 0);
  const TensorRecord* b = j.model.input(j.op, 1);
  if (a == nullptr || b == nullptr) return j.bad("an operand is absent");
  if (j.model.is_constant(j.model.input_id(j.op, 0)) &&
      j.model.is_constant(j.model.input_id(j.op, 1))) {
    return j.bad("both operands are constants");
  }
  if (a->dtype != j.y.dtype || b->dtype != j.y.dtype ||
      j.y.dtype == static_cast<uint8_t>(Dtype::kS32) || (j.s8() && !allow_s8)) {
    return j.bad("the dtypes do not fit");
  }
  EDGECV_TRY(judge_broadcast(j));
  *work = element_count(j.y);
  if (!j.s8()) {
    EDGECV_TRY(j.attributes(0, 2));
    return j.clamp_f32();
  }
  EDGECV_TRY(j.attributes(2, multipliers));
  return j.clamp_s8(0);
}

// 255 * 2^20 twice stays below 2^31, so the range of ma and mb is all there is to judge.
Status judge_sum(const OpJudge& j, int64_t* work) {
  EDGECV_TRY(judge_binary(j, true, 2, work));
  if (!j.s8()) return Status::kOk;
  EDGECV_TRY(j.multiplier("ma", 0, j.op.floats[0], reach(j.in(0))));
  return j.multiplier("mb", 1, j.op.floats[1], reach(j.in(1)));
}

Status judge_conversion(const OpJudge& j, Dtype from, Dtype to, int64_t* work) {
  EDGECV_TRY(j.inputs(1));
  EDGECV_TRY(j.activation(0, from));
  EDGECV_TRY(j.output_dtype(to));
  EDGECV_TRY(j.output_dims_of(j.in(0)));
  *work = element_count(j.y);
  return j.attributes(0, 0);
}

}  // namespace

Status judge_Add(const OpJudge& j, int64_t* work) { return judge_sum(j, work); }

Status judge_Sub(const OpJudge& j, int64_t* work) { return judge_sum(j, work); }

Status judge_Mul(const OpJudge& j, int64_t* work) {
  EDGECV_TRY(judge_binary(j, true, 1, work));
  if (!j.s8()) return Status::kOk;
  return j.multiplier("m", 0, j.op.floats[0], reach(j.in(0)) * reach(j.in(1)));
}

Status judge_Div(const OpJudge& j, int64_t* work) { return judge_binary(j, false, 0, work); }

Status judge_Lookup(const OpJudge& j, int64_t* work) {
  EDGECV_TRY(j.inputs(2));
  EDGECV_TRY(j.activation(0, Dtype::kS8));
  EDGECV_TRY(j.constant(1, Dtype::kS8, 256));
  EDGECV_TRY(j.output_dtype(Dtype::kS8));
  EDGECV_TRY(j.output_dims_of(j.in(0)));
  *work = element_count(j.y);
  return j.attributes(0, 0);
}

Status judge_Unary(const OpJudge& j, int64_t* work) {
  EDGECV_TRY(j.inputs(1));
  EDGECV_TRY(j.activation(0, Dtype::kF32));
  EDGECV_TRY(j.output_dtype(Dtype::kF32));
  EDGECV_TRY(j.output_dims_of(j.in(0)));
  EDGECV_TRY(j.int_range("function", 0, 1, kFunctions));
  EDGECV_TRY(j.attributes(1, unary_parameters(j.op.ints[0])));
  *work = element_count(j.y);
  for (int i = 0; i < 2; ++i) {
    if (j.op.floats[i] != j.op.floats[i]) return j.bad("floats[%d] is a NaN", i);
  }
  return Status::kOk;
}

Status judge_PRelu(const OpJudge& j, int64_t* work) {
  EDGECV_TRY(j.inputs(2));
  EDGECV_TRY(j.s8_or_f32());
  EDGECV_TRY(j.output_dims_of(j.in(0)));
  const int64_t channels = j.y.dims[j.y.rank - 1];
  const int64_t count = j.in(1).rank == 1 && j.in(1).dims[0] == 1 ? 1 : channels;
  EDGECV_TRY(j.constant(1, Dtype::kF32, count));
  *work = element_count(j.y);
  if (!j.s8()) return j.attributes(0, 0);
  EDGECV_TRY(j.attributes(2, 1));
  EDGECV_TRY(j.clamp_s8(0));
  const int64_t bound = reach(j.in(0));
  EDGECV_TRY(j.multiplier("m_positive", 0, j.op.floats[0], bound));
  const float* m = j.model.constant<float>(j.op, 1);
  for (int64_t c = 0; c < count; ++c) {
    if (m[c] != 0.0f)
      EDGECV_TRY(j.multiplier("|m_negative|", c, m[c] < 0.0f ? -m[c] : m[c], bound));
  }
  return Status::kOk;
}

Status judge_Quantize(const OpJudge& j, int64_t* work) {
  return judge_conversion(j, Dtype::kF32, Dtype::kS8, work);
}

Status judge_Dequantize(const OpJudge& j, int64_t* work) {
  return judge_conversion(j, Dtype::kS8, Dtype::kF32, work);
}

}  // namespace edgecv::format
