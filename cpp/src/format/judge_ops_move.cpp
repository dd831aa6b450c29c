// Ops that move values: Concat, Slice, Pad, Reshape, Transpose.
#include "format/op_judge.h"

namespace edgecv::format {
namespace {

Status judge_move(const OpJudge& j, int64_t* work) {
  EDGECV_TRY(j.inputs(1));
  *work = element_count(j.y);
  return j.moves(j.in(0));
}

// ints[position + rank .. position + 8) are 0.
Status judge_tail(const OpJudge& j, int position, int rank) {
  for (int d = rank; d < kMaxRank; ++d) {
    if (j.op.ints[position + d] != 0)
      return j.bad("ints[%d] is past the rank and not 0", position + d);
  }
  return Status::kOk;
}

}  // namespace

Status judge_Concat(const OpJudge& j, int64_t* work) {
  if (j.op.input_count < 1) return j.bad("no inputs");
  EDGECV_TRY(j.attributes(1, 0));
  EDGECV_TRY(j.int_range("axis", 0, 0, j.y.rank - 1));
  const int axis = j.op.ints[0];
  int64_t sum = 0;
  bool computed = false;
  for (uint32_t i = 0; i < j.op.input_count; ++i) {
    const TensorRecord* x = j.model.input(j.op, i);
    if (x == nullptr) return j.bad("input %u is absent", i);
    computed = computed || !j.model.is_constant(j.model.input_id(j.op, i));
    EDGECV_TRY(j.moves(*x));
    EDGECV_TRY(j.rank_of(*x, j.y.rank));
    for (int d = 0; d < j.y.rank; ++d) {
      if (d != axis && x->dims[d] != j.y.dims[d])
        return j.bad("dim %d of input %u does not fit", d, i);
    }
    sum += x->dims[axis];
  }
  if (!computed) return j.bad("all inputs are constants");
  if (sum != j.y.dims[axis]) return j.bad("the inputs do not add up to the output along the axis");
  *work = element_count(j.y);
  return Status::kOk;
}

Status judge_Slice(const OpJudge& j, int64_t* work) {
  EDGECV_TRY(judge_move(j, work));
  EDGECV_TRY(j.attributes(2 * kMaxRank, 0));
  const TensorRecord& x = j.in(0);
  EDGECV_TRY(j.rank_of(x, j.y.rank));
  EDGECV_TRY(judge_tail(j, 0, x.rank));
  EDGECV_TRY(judge_tail(j, kMaxRank, x.rank));
  for (int d = 0; d < x.rank; ++d) {
    const int64_t start = j.op.ints[d];
    const int64_t step = j.op.ints[kMaxRank + d];
    if (start < 0 || step < 1 || start + (int64_t{j.y.dims[d]} - 1) * step >= x.dims[d]) {
      return j.bad("start %lld and step %lld leave dim %d", static_cast<long long>(start),
                   static_cast<long long>(step), d);
    }
  }
  return Status::kOk;
}

Status judge_Pad(const OpJudge& j, int64_t* work) {
  EDGECV_TRY(judge_move(j, work));
  EDGECV_TRY(j.s8_or_f32());
  EDGECV_TRY(j.attributes(kMaxRank + 1, 1));
  const TensorRecord& x = j.in(0);
  EDGECV_TRY(j.rank_of(x, j.y.rank));
  EDGECV_TRY(judge_tail(j, 0, x.rank));
  for (int d = 0; d < x.rank; ++d) {
    if (j.op.ints[d] < 0 || int64_t{j.op.ints[d]} + x.dims[d] > j.y.dims[d]) {
      return j.bad("the input does not lie within dim %d of the output", d);
    }
  }
  if (!j.s8()) return j.int_range("fill_s8", kMaxRank, 0, 0);
  if (!all_zero(j.op.floats[0])) return j.bad("fill_f32 of an s8 op is not 0");
  return j.int_range("fill_s8", kMaxRank, -128, 127);
}

Status judge_Reshape(const OpJudge& j, int64_t* work) {
  EDGECV_TRY(judge_move(j, work));
  if (element_count(j.in(0)) != element_count(j.y)) return j.bad("input and output differ in size");
  return j.attributes(0, 0);
}

Status judge_Transpose(const OpJudge& j, int64_t* work) {
  EDGECV_TRY(judge_move(j, work));
  EDGECV_TRY(j.attributes(kMaxRank, 0));
  const TensorRecord& x = j.in(0);
  EDGECV_TRY(j.rank_of(x, j.y.rank));
  EDGECV_TRY(judge_tail(j, 0, x.rank));
  uint32_t seen = 0;
  for (int d = 0; d < x.rank; ++d) {
    const int32_t axis = j.op.ints[d];
    if (axis < 0 || axis >= x.rank || (seen >> axis & 1u) != 0)
      return j.bad("perm is no permutation");
    seen |= 1u << axis;
    if (j.y.dims[d] != x.dims[axis])
      return j.bad("dim %d of the output is not that of the input", d);
  }
  return Status::kOk;
}

}  // namespace edgecv::format
