// Conv2d, ConvTranspose2d, FullyConnected.
#include "ops/op.h"

namespace edgecv::ops {
namespace {

using format::TensorRecord;
using kernels::ConvProblem;
using kernels::Family;

// Operands 1..3 and the zero points; clamp_int and clamp_float are where lo, hi begin.
void set_constants(const Lowering& lowering, int clamp_int, ConvProblem* p) {
  const format::OpRecord& op = lowering.op;
  p->weights = lowering.model.constant<void>(op, 1);
  p->bias = lowering.model.constant<void>(op, 2);
  if (lowering.is_s8()) {
    p->multiplier = lowering.model.constant<float>(op, 3);
    p->in_zero_point = lowering.in(0).zero_point;
    p->out_zero_point = lowering.out().zero_point;
    p->lo = op.ints[clamp_int];
    p->hi = op.ints[clamp_int + 1];
    p->in_lo = -128;
    p->in_hi = 127;
  } else {
    p->lo_f = op.floats[0];
    p->hi_f = op.floats[1];
  }
}

Status lower_conv(Lowering* lowering, Family family, bool transpose) {
  Call* call = lowering->add(family, 1);
  if (call == nullptr) return Status::kOutOfMemory;
  const TensorRecord& x = lowering->in(0);
  const TensorRecord& w = lowering->in(1);
  const TensorRecord& y = lowering->out();
  const int32_t* ints = lowering->op.ints;
  ConvProblem& p = call->problem.conv;
  p.batch = x.dims[0];
  p.in_h = x.dims[1];
  p.in_w = x.dims[2];
  p.in_c = x.dims[3];
  p.out_h = y.dims[1];
  p.out_w = y.dims[2];
  p.out_c = y.dims[3];
  p.kernel_h = w.dims[1];
  p.kernel_w = w.dims[2];
  p.stride_h = ints[0];
  p.stride_w = ints[1];
  p.dilation_h = ints[2];
  p.dilation_w = ints[3];
  p.pad_top = ints[4];
  p.pad_left = ints[5];
  p.groups = ints[8];
  p.in_stride = lowering->in_view(0).stride;
  p.out_stride = lowering->out_view().stride;
  set_constants(*lowering, 9, &p);
  const TensorRecord& per_tap =
      transpose ? x : y;  // the side each tap of which is one multiply-add
  call->macs = int64_t{per_tap.dims[0]} * per_tap.dims[1] * per_tap.dims[2] * p.out_c * p.kernel_h *
               p.kernel_w * (p.in_c / p.groups);
  call->bytes += format::tensor_bytes(w);
  return Status::kOk;
}

}  // namespace

Status lower_Conv2d(Lowering* lowering) {
  return lower_conv(lowering, lowering->is_s8() ? Family::kConvS8 : Family::kConvF32, false);
}

Status lower_ConvTranspose2d(Lowering* lowering) {
  return lower_conv(lowering,
                    lowering->is_s8() ? Family::kConvTransposeS8 : Family::kConvTransposeF32, true);
}

// A 1x1 convolution over an image of one row, a pixel for each row of the matrix.
Status lower_FullyConnected(Lowering* lowering) {
  Call* call = lowering->add(lowering->is_s8() ? Family::kConvS8 : Family::kConvF32, 1);
  if (call == nullptr) return Status::kOutOfMemory;
  const TensorRecord& x = lowering->in(0);
  const TensorRecord& w = lowering->in(1);
  const int32_t rows = static_cast<int32_t>(format::element_count(x) / w.dims[1]);
  ConvProblem& p = call->problem.conv;
  p.batch = p.in_h = p.out_h = 1;
  p.in_w = p.out_w = rows;
  p.in_c = w.dims[1];
  p.out_c = w.dims[0];
  p.kernel_h = p.kernel_w = 1;
  p.stride_h = p.stride_w = 1;
  p.dilation_h = p.dilation_w = 1;
  p.groups = 1;
  p.in_stride = lowering->in_view(0).stride;
  p.out_stride = lowering->out_view().stride;
  set_constants(*lowering, 0, &p);
  call->macs = int64_t{rows} * p.in_c * p.out_c;
  call->bytes += format::tensor_bytes(w);
  return Status::kOk;
}

}  // namespace edgecv::ops
