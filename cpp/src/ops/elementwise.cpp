// Add, Sub, Mul, Div, Lookup, Unary, PRelu, Quantize, Dequantize.
#include "ops/op.h"

namespace edgecv::ops {
namespace {

using format::TensorRecord;
using kernels::BinaryOp;
using kernels::BinaryProblem;
using kernels::Family;

// Dims and strides of the broadcast: dims of 1 dropped, dims that follow each other in all three
// tensors merged.
void set_broadcast(const Lowering& lowering, BinaryProblem* p) {
  const TensorRecord& y = lowering.out();
  int64_t strides[2][format::kMaxRank], out_stride[format::kMaxRank];
  pixel_strides(y, lowering.out_view().stride, out_stride);
  for (uint32_t side = 0; side < 2; ++side) {
    const TensorRecord& x = lowering.in(side);
    int64_t own[format::kMaxRank];
    pixel_strides(x, lowering.in_view(side).stride, own);
    for (int i = 0; i < y.rank; ++i) {
      const int axis = i - (y.rank - x.rank);
      strides[side][i] = axis < 0 || x.dims[axis] == 1 ? 0 : own[axis];
    }
  }
  p->rank = 0;
  for (int i = 0; i < y.rank; ++i) {
    const int32_t dim = y.dims[i];
    if (dim == 1) continue;
    const int last = p->rank - 1;
    if (last >= 0 && p->a_stride[last] == strides[0][i] * dim &&
        p->b_stride[last] == strides[1][i] * dim && p->out_stride[last] == out_stride[i] * dim) {
      p->dims[last] *= dim;
      p->a_stride[last] = strides[0][i];
      p->b_stride[last] = strides[1][i];
      p->out_stride[last] = out_stride[i];
      continue;
    }
    p->dims[p->rank] = dim;
    p->a_stride[p->rank] = strides[0][i];
    p->b_stride[p->rank] = strides[1][i];
    p->out_stride[p->rank] = out_stride[i];
    ++p->rank;
  }
  if (p->rank == 0) {
    p->rank = 1;
    p->dims[0] = 1;
    p->a_stride[0] = p->b_stride[0] = p->out_stride[0] = 1;
  }
}

Status lower_binary(Lowering* lowering, BinaryOp binary) {
  const bool s8 = lowering->is_s8();
  Call* call = lowering->add(s8 ? Family::kBinaryS8 : Family::kBinaryF32, 0);
  if (call == nullptr) return Status::kOutOfMemory;
  const format::OpRecord& op = lowering->op;
  const TensorRecord& a = lowering->in(0);
  const TensorRecord& b = lowering->in(1);
  BinaryProblem& p = call->problem.binary;
  p.op = binary;
  set_broadcast(*lowering, &p);
  p.a_constant = lowering->model.constant<void>(op, 0);
  p.b_constant = lowering->model.constant<void>(op, 1);
  for (uint32_t i = 0; i < 2; ++i) {
    if ((i == 0 ? p.a_constant : p.b_constant) != nullptr) continue;
    call->inputs[call->input_count++] = lowering->model.input_id(op, i);
    call->bytes += format::tensor_bytes(lowering->in(i));
  }
  if (s8) {
    p.a_zero_point = a.zero_point;
    p.b_zero_point = b.zero_point;
    p.out_zero_point = lowering->out().zero_point;
    p.lo = op.ints[0];
    p.hi = op.ints[1];
    p.ma = op.floats[0];
    p.mb = op.floats[1];
  } else {
    p.lo_f = op.floats[0];
    p.hi_f = op.floats[1];
  }
  return Status::kOk;
}

// A call of a family with UnaryProblem over all elements; null without memory. Input and output
// have the same dims.
Call* add_unary(Lowering* lowering, Family family) {
  Call* call = lowering->add(family, 1);
  if (call == nullptr) return nullptr;
  kernels::UnaryProblem& p = call->problem.unary;
  const TensorRecord& x = lowering->in(0);
  p.runs = 1;
  p.count = p.in_stride = p.out_stride = format::element_count(x);
  const int64_t channels = last_dim(x);
  const int64_t in_stride = lowering->in_view(0).stride, out_stride = lowering->out_view().stride;
  if (p.count != channels && (in_stride != channels || out_stride != channels)) {
    p.runs = p.count / channels;
    p.count = channels;
    p.in_stride = in_stride;
    p.out_stride = out_stride;
  }
  return call;
}

}  // namespace

Status lower_Add(Lowering* lowering) { return lower_binary(lowering, BinaryOp::kAdd); }
Status lower_Sub(Lowering* lowering) { return lower_binary(lowering, BinaryOp::kSub); }
Status lower_Mul(Lowering* lowering) { return lower_binary(lowering, BinaryOp::kMul); }
Status lower_Div(Lowering* lowering) { return lower_binary(lowering, BinaryOp::kDiv); }

Status lower_Lookup(Lowering* lowering) {
  Call* call = add_unary(lowering, Family::kLookupS8);
  if (call == nullptr) return Status::kOutOfMemory;
  call->problem.unary.table = lowering->model.constant<int8_t>(lowering->op, 1);
  return Status::kOk;
}

Status lower_Unary(Lowering* lowering) {
  Call* call = add_unary(lowering, Family::kUnaryF32);
  if (call == nullptr) return Status::kOutOfMemory;
  call->problem.unary.function = lowering->op.ints[0];
  call->problem.unary.alpha = lowering->op.floats[0];
  call->problem.unary.beta = lowering->op.floats[1];
  call->bytes *= 4;  // exp and friends cost more than a copy
  return Status::kOk;
}

Status lower_PRelu(Lowering* lowering) {
  const bool s8 = lowering->is_s8();
  Call* call = lowering->add(s8 ? Family::kPReluS8 : Family::kPReluF32, 1);
  if (call == nullptr) return Status::kOutOfMemory;
  const format::OpRecord& op = lowering->op;
  const TensorRecord& x = lowering->in(0);
  kernels::PReluProblem& p = call->problem.prelu;
  p.channels = x.dims[x.rank - 1];
  p.pixels = format::element_count(x) / p.channels;
  p.slope = lowering->model.constant<float>(op, 1);
  p.slope_count = static_cast<int32_t>(format::element_count(lowering->in(1)));
  if (s8) {
    p.m_positive = op.floats[0];
    p.in_zero_point = x.zero_point;
    p.out_zero_point = lowering->out().zero_point;
    p.lo = op.ints[0];
    p.hi = op.ints[1];
  }
  return Status::kOk;
}

Status lower_Quantize(Lowering* lowering) {
  Call* call = add_unary(lowering, Family::kQuantize);
  if (call == nullptr) return Status::kOutOfMemory;
  call->problem.unary.scale = lowering->out().scale;
  call->problem.unary.zero_point = lowering->out().zero_point;
  return Status::kOk;
}

Status lower_Dequantize(Lowering* lowering) {
  Call* call = add_unary(lowering, Family::kDequantize);
  if (call == nullptr) return Status::kOutOfMemory;
  call->problem.unary.scale = lowering->in(0).scale;
  call->problem.unary.zero_point = lowering->in(0).zero_point;
  return Status::kOk;
}

}  // namespace edgecv::ops
