// Resize2d.
#include "ops/op.h"

namespace edgecv::ops {

Status lower_Resize2d(Lowering* lowering) {
  const bool s8 = lowering->is_s8();
  Call* call = lowering->add(s8 ? kernels::Family::kResizeS8 : kernels::Family::kResizeF32, 1);
  if (call == nullptr) return Status::kOutOfMemory;
  const format::TensorRecord& x = lowering->in(0);
  const format::TensorRecord& y = lowering->out();
  const format::OpRecord& op = lowering->op;
  kernels::ResizeProblem& p = call->problem.resize;
  p.batch = x.dims[0];
  p.in_h = x.dims[1];
  p.in_w = x.dims[2];
  p.channels = x.dims[3];
  p.out_h = y.dims[1];
  p.out_w = y.dims[2];
  p.in_stride = lowering->in_view(0).stride;
  p.out_stride = lowering->out_view().stride;
  p.y_index = lowering->model.constant<int32_t>(op, 1);
  p.y_weight = lowering->model.constant<void>(op, 2);
  p.x_index = lowering->model.constant<int32_t>(op, 3);
  p.x_weight = lowering->model.constant<void>(op, 4);
  call->bytes += format::tensor_bytes(y) * 4;
  return Status::kOk;
}

}  // namespace edgecv::ops
