// MatMul of two activations.
#include "ops/op.h"

namespace edgecv::ops {

Status lower_MatMul(Lowering* lowering) {
  const bool s8 = lowering->is_s8();
  Call* call = lowering->add(s8 ? kernels::Family::kMatMulS8 : kernels::Family::kMatMulF32, 2);
  if (call == nullptr) return Status::kOutOfMemory;
  const format::TensorRecord& a = lowering->in(0);
  const format::TensorRecord& b = lowering->in(1);
  const format::TensorRecord& y = lowering->out();
  const format::OpRecord& op = lowering->op;
  kernels::MatMulProblem& p = call->problem.matmul;
  p.m = y.dims[y.rank - 2];
  p.n = y.dims[y.rank - 1];
  p.k = a.dims[a.rank - 1];
  p.transpose_b = op.ints[0] != 0;

  // Leading dims, broadcast as numpy does; those that follow each other in both operands are
  // merged.
  const format::TensorRecord* operands[2] = {&a, &b};
  int64_t step[2] = {int64_t{p.m} * p.k,
                     int64_t{p.n} * p.k};  // elements of one more entry of the dim at hand
  int64_t strides[2][format::kMaxRank];
  int64_t entries = 1;
  for (int i = y.rank - 3; i >= 0; --i) {
    entries *= y.dims[i];
    for (int side = 0; side < 2; ++side) {
      const int own = i - (y.rank - operands[side]->rank);
      const int32_t dim = own >= 0 ? operands[side]->dims[own] : 1;
      strides[side][i] = dim == 1 ? 0 : step[side];
      step[side] *= dim;
    }
  }
  for (int i = 0; i < y.rank - 2; ++i) {
    if (y.dims[i] == 1) continue;
    const int last = p.batch_rank - 1;
    if (last >= 0 && p.a_stride[last] == strides[0][i] * y.dims[i] &&
        p.b_stride[last] == strides[1][i] * y.dims[i]) {
      p.batch_dims[last] *= y.dims[i];
      p.a_stride[last] = strides[0][i];
      p.b_stride[last] = strides[1][i];
      continue;
    }
    p.batch_dims[p.batch_rank] = y.dims[i];
    p.a_stride[p.batch_rank] = strides[0][i];
    p.b_stride[p.batch_rank] = strides[1][i];
    ++p.batch_rank;
  }
  if (s8) {
    p.a_zero_point = a.zero_point;
    p.b_zero_point = b.zero_point;
    p.out_zero_point = y.zero_point;
    p.lo = op.ints[1];
    p.hi = op.ints[2];
    p.multiplier = op.floats[0];
  }
  call->macs = entries * p.m * p.n * p.k;
  return Status::kOk;
}

}  // namespace edgecv::ops
