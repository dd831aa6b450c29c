// ReduceMean, ArgMax, Softmax, LayerNorm.
#include "ops/op.h"

namespace edgecv::ops {
namespace {

using format::TensorRecord;
using kernels::Family;
using kernels::ReduceProblem;

// A call that reduces or normalizes axes first..last of the op's input.
Call* add_reduce(Lowering* lowering, Family family, int first, int last) {
  Call* call = lowering->add(family, 1);
  if (call == nullptr) return nullptr;
  const TensorRecord& x = lowering->in(0);
  ReduceProblem& p = call->problem.reduce;
  p.outer = 1;
  p.reduce = p.inner = 1;
  for (int i = 0; i < x.rank; ++i) {
    if (i < first) {
      p.outer *= x.dims[i];
    } else if (i <= last) {
      p.reduce *= x.dims[i];
    } else {
      p.inner *= x.dims[i];
    }
  }
  p.in_zero_point = x.zero_point;
  p.out_zero_point = lowering->out().zero_point;
  return call;
}

Call* add_last_axis(Lowering* lowering, Family s8, Family f32) {
  const int last = lowering->in(0).rank - 1;
  return add_reduce(lowering, lowering->is_s8() ? s8 : f32, last, last);
}

}  // namespace

Status lower_ReduceMean(Lowering* lowering) {
  const format::OpRecord& op = lowering->op;
  const bool s8 = lowering->is_s8();
  Call* call = add_reduce(lowering, s8 ? Family::kReduceMeanS8 : Family::kReduceMeanF32, op.ints[0],
                          op.ints[1]);
  if (call == nullptr) return Status::kOutOfMemory;
  if (s8) {
    call->problem.reduce.lo = op.ints[2];
    call->problem.reduce.hi = op.ints[3];
    call->problem.reduce.multiplier = op.floats[0];
  }
  return Status::kOk;
}

Status lower_ArgMax(Lowering* lowering) {
  Call* call = add_last_axis(lowering, Family::kArgMaxS8, Family::kArgMaxF32);
  return call == nullptr ? Status::kOutOfMemory : Status::kOk;
}

Status lower_Softmax(Lowering* lowering) {
  Call* call = add_last_axis(lowering, Family::kSoftmaxS8, Family::kSoftmaxF32);
  if (call == nullptr) return Status::kOutOfMemory;
  call->problem.reduce.exp_table = lowering->model.constant<int32_t>(lowering->op, 1);
  call->problem.reduce.lo = -128;
  call->problem.reduce.hi = 127;
  call->bytes *= 4;
  return Status::kOk;
}

Status lower_LayerNorm(Lowering* lowering) {
  Call* call = add_last_axis(lowering, Family::kLayerNormS8, Family::kLayerNormF32);
  if (call == nullptr) return Status::kOutOfMemory;
  const format::OpRecord& op = lowering->op;
  ReduceProblem& p = call->problem.reduce;
  p.gamma = lowering->model.constant<float>(op, 1);
  p.beta = lowering->model.constant<float>(op, 2);
  p.epsilon = op.floats[0];
  if (lowering->is_s8()) {
    p.lo = op.ints[0];
    p.hi = op.ints[1];
  }
  call->bytes *= 4;
  return Status::kOk;
}

}  // namespace edgecv::ops
