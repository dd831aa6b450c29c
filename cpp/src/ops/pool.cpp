// MaxPool2d, AveragePool2d.
#include "ops/op.h"

namespace edgecv::ops {
namespace {

Call* add_pool(Lowering* lowering, kernels::PoolOp pool) {
  Call* call =
      lowering->add(lowering->is_s8() ? kernels::Family::kPoolS8 : kernels::Family::kPoolF32, 1);
  if (call == nullptr) return nullptr;
  const format::TensorRecord& x = lowering->in(0);
  const format::TensorRecord& y = lowering->out();
  const int32_t* ints = lowering->op.ints;
  kernels::PoolProblem& p = call->problem.pool;
  p.op = pool;
  p.batch = x.dims[0];
  p.in_h = x.dims[1];
  p.in_w = x.dims[2];
  p.channels = x.dims[3];
  p.out_h = y.dims[1];
  p.out_w = y.dims[2];
  p.kernel_h = ints[0];
  p.kernel_w = ints[1];
  p.stride_h = ints[2];
  p.stride_w = ints[3];
  p.dilation_h = ints[4];
  p.dilation_w = ints[5];
  p.pad_top = ints[6];
  p.pad_left = ints[7];
  p.in_stride = lowering->in_view(0).stride;
  p.out_stride = lowering->out_view().stride;
  call->bytes += format::tensor_bytes(y) * p.kernel_h * p.kernel_w;
  return call;
}

}  // namespace

Status lower_MaxPool2d(Lowering* lowering) {
  Call* call = add_pool(lowering, kernels::PoolOp::kMax);
  return call == nullptr ? Status::kOutOfMemory : Status::kOk;
}

Status lower_AveragePool2d(Lowering* lowering) {
  Call* call = add_pool(lowering, kernels::PoolOp::kAverage);
  if (call == nullptr) return Status::kOutOfMemory;
  const int32_t* ints = lowering->op.ints;
  kernels::PoolProblem& p = call->problem.pool;
  p.count_include_pad = ints[10] != 0;
  p.count_pad_bottom = ints[13];
  p.count_pad_right = ints[14];
  if (lowering->is_s8()) {
    p.multiplier = lowering->model.constant<float>(lowering->op, 1);
    p.in_zero_point = lowering->in(0).zero_point;
    p.out_zero_point = lowering->out().zero_point;
    p.lo = ints[11];
    p.hi = ints[12];
  }
  return Status::kOk;
}

}  // namespace edgecv::ops
