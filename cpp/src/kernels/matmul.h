// Contract of kMatMulS8 and kMatMulF32: both operands are activations.
//   acc[m][n] = sum over k of (a[m][k] - za) * (b[k][n] - zb)     (b[n][k] when transpose_b)
//   s8: y = clamp(rint(float(acc) * multiplier) + zy, lo, hi)
// The matrices of a batch entry are dense; entry (i0, i1, ...) of the output's leading dims uses a
// at sum i_j * a_stride[j] elements, b likewise (0 where that operand broadcasts); the output is
// dense.
#ifndef EDGECV_KERNELS_MATMUL_H_
#define EDGECV_KERNELS_MATMUL_H_

#include "kernels/kernel.h"

namespace edgecv::kernels {

struct MatMulProblem {
  int32_t batch_rank;  // 0..6
  int32_t batch_dims[6];
  int64_t a_stride[6], b_stride[6];
  int32_t m, n, k;
  bool transpose_b;
  int32_t a_zero_point, b_zero_point, out_zero_point, lo, hi;
  float multiplier;
};

}  // namespace edgecv::kernels

#endif  // EDGECV_KERNELS_MATMUL_H_
