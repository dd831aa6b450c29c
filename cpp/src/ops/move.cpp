// Concat, Slice, Pad, Reshape, Transpose: values move, none is computed.
#include <string.h>

#include "ops/op.h"

namespace edgecv::ops {
namespace {

using format::kMaxRank;
using format::TensorRecord;
using kernels::Family;
using kernels::MoveProblem;

int32_t element_bytes(const TensorRecord& tensor) {
  return static_cast<int32_t>(format::dtype_bytes(tensor.dtype));
}

void byte_strides(const TensorRecord& tensor, const View& view, int64_t* strides) {
  pixel_strides(tensor, view.stride, strides);
  for (int i = 0; i < tensor.rank; ++i) strides[i] *= element_bytes(tensor);
}

bool same_dims(const TensorRecord& a, const TensorRecord& b) {
  return a.rank == b.rank && memcmp(a.dims, b.dims, sizeof(a.dims[0]) * a.rank) == 0;
}

bool keeps_order(const TensorRecord& y, const int32_t* perm) {
  int previous = -1;  // dims larger than 1 keep their order: nothing moves
  for (int i = 0; i < y.rank; ++i) {
    if (y.dims[i] == 1) continue;
    if (perm[i] < previous) return false;
    previous = perm[i];
  }
  return true;
}

}  // namespace

MoveProblem make_move(int32_t element_bytes, int32_t rank, const int32_t* dims,
                      const int64_t* in_stride, const int64_t* out_stride, int64_t in_offset,
                      int64_t out_offset) {
  MoveProblem p;
  memset(static_cast<void*>(&p), 0, sizeof(p));
  p.element_bytes = element_bytes;
  p.in_offset = in_offset;
  p.out_offset = out_offset;
  for (int32_t i = 0; i < rank; ++i) {
    if (dims[i] == 1) continue;
    const int32_t last = p.rank - 1;
    if (last >= 0 && p.in_stride[last] == in_stride[i] * dims[i] &&
        p.out_stride[last] == out_stride[i] * dims[i]) {
      p.dims[last] *= dims[i];
      p.in_stride[last] = in_stride[i];
      p.out_stride[last] = out_stride[i];
      continue;
    }
    p.dims[p.rank] = dims[i];
    p.in_stride[p.rank] = in_stride[i];
    p.out_stride[p.rank] = out_stride[i];
    ++p.rank;
  }
  if (p.rank != 0) {
    const int32_t last = p.rank - 1;
    if (p.in_stride[last] == element_bytes && p.out_stride[last] == element_bytes) {
      p.element_bytes *= p.dims[last];
      p.dims[last] = 0;
      p.in_stride[last] = p.out_stride[last] = 0;
      --p.rank;
    }
  }
  if (p.rank == 0) {
    p.rank = 1;
    p.dims[0] = 1;
    p.in_stride[0] = p.out_stride[0] = p.element_bytes;
  }
  return p;
}

bool is_alias(const format::ParsedModel& model, const format::OpRecord& op) {
  switch (static_cast<OpCode>(op.code)) {
    case OpCode::kReshape:
      return true;
    case OpCode::kConcat:
      return op.input_count == 1;
    case OpCode::kSlice:
    case OpCode::kPad:
      return same_dims(*model.input(op, 0), model.output(op));
    case OpCode::kTranspose:
      return keeps_order(model.output(op), op.ints);
    default:
      return false;
  }
}

Status lower_Concat(Lowering* lowering) {
  const format::OpRecord& op = lowering->op;
  if (is_alias(lowering->model, op)) return Status::kOk;
  const TensorRecord& y = lowering->out();
  const int axis = op.ints[0];
  int64_t out_stride[kMaxRank];
  const View& whole = lowering->out_view();
  byte_strides(y, whole, out_stride);
  int64_t next_offset = 0;
  for (uint32_t i = 0; i < op.input_count; ++i) {
    const TensorRecord& x = lowering->in(i);
    const View& part = lowering->in_view(i);
    const int64_t out_offset = next_offset;
    next_offset += out_stride[axis] * x.dims[axis];
    if (part.root == whole.root && part.offset == whole.offset + out_offset) continue;  // in place
    int64_t in_stride[kMaxRank];
    byte_strides(x, part, in_stride);
    Call* call = lowering->add(Family::kMove, 0);
    if (call == nullptr) return Status::kOutOfMemory;
    call->inputs[call->input_count++] = lowering->model.input_id(op, i);
    call->bytes = 2 * format::tensor_bytes(x);
    call->problem.move =
        make_move(element_bytes(x), x.rank, x.dims, in_stride, out_stride, 0, out_offset);
  }
  return Status::kOk;
}

Status lower_Slice(Lowering* lowering) {
  const TensorRecord& x = lowering->in(0);
  const TensorRecord& y = lowering->out();
  const int32_t* start = lowering->op.ints;
  const int32_t* step = lowering->op.ints + 8;
  int64_t in_stride[kMaxRank], out_stride[kMaxRank];
  byte_strides(x, lowering->in_view(0), in_stride);
  byte_strides(y, lowering->out_view(), out_stride);
  int64_t in_offset = 0;
  for (int i = 0; i < x.rank; ++i) {
    in_offset += in_stride[i] * start[i];
    in_stride[i] *= step[i];
  }
  const View &from = lowering->in_view(0), &to = lowering->out_view();
  if (from.root == to.root && from.offset + in_offset == to.offset) return Status::kOk;  // in place
  Call* call = lowering->add(Family::kMove, 1);
  if (call == nullptr) return Status::kOutOfMemory;
  call->bytes = 2 * format::tensor_bytes(y);
  call->problem.move =
      make_move(element_bytes(x), y.rank, y.dims, in_stride, out_stride, in_offset, 0);
  return Status::kOk;
}

Status lower_Pad(Lowering* lowering) {
  const TensorRecord& x = lowering->in(0);
  const TensorRecord& y = lowering->out();
  if (is_alias(lowering->model, lowering->op)) return Status::kOk;
  Call* call = lowering->add(Family::kMove, 1);
  if (call == nullptr) return Status::kOutOfMemory;
  const int32_t* before = lowering->op.ints;
  int64_t in_stride[kMaxRank], out_stride[kMaxRank];
  byte_strides(x, lowering->in_view(0), in_stride);
  byte_strides(y, lowering->out_view(), out_stride);
  int64_t out_offset = 0;
  for (int i = 0; i < x.rank; ++i) out_offset += out_stride[i] * before[i];
  MoveProblem& p = call->problem.move;
  p = make_move(element_bytes(x), x.rank, x.dims, in_stride, out_stride, 0, out_offset);
  p.fill = true;
  p.out_bytes = format::tensor_bytes(y);
  p.fill_bytes = element_bytes(y);
  if (p.fill_bytes == 1) {
    p.fill_bits = static_cast<uint8_t>(lowering->op.ints[8]);
  } else {
    memcpy(&p.fill_bits, &lowering->op.floats[0], sizeof(p.fill_bits));
  }
  return Status::kOk;
}

Status lower_Reshape(Lowering*) { return Status::kOk; }

Status lower_Transpose(Lowering* lowering) {
  const TensorRecord& x = lowering->in(0);
  const TensorRecord& y = lowering->out();
  const int32_t* perm = lowering->op.ints;
  if (is_alias(lowering->model, lowering->op)) return Status::kOk;
  Call* call = lowering->add(Family::kMove, 1);
  if (call == nullptr) return Status::kOutOfMemory;
  int64_t x_stride[kMaxRank], in_stride[kMaxRank], out_stride[kMaxRank];
  byte_strides(x, lowering->in_view(0), x_stride);
  byte_strides(y, lowering->out_view(), out_stride);
  for (int i = 0; i < y.rank; ++i) in_stride[i] = x_stride[perm[i]];
  call->problem.move = make_move(element_bytes(x), y.rank, y.dims, in_stride, out_stride, 0, 0);
  return Status::kOk;
}

}  // namespace edgecv::ops
