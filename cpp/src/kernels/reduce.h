// Contract of the families that reduce or normalize one axis (docs/ops.md: ReduceMean, ArgMax,
// Softmax, LayerNorm). x is dense [outer][reduce][inner]. ReduceMean writes [outer][inner]. ArgMax,
// Softmax and LayerNorm have inner == 1; ArgMax writes s32 [outer], the others [outer][reduce].
#ifndef EDGECV_KERNELS_REDUCE_H_
#define EDGECV_KERNELS_REDUCE_H_

#include "kernels/kernel.h"

namespace edgecv::kernels {

struct ReduceProblem {
  int64_t outer;
  int32_t reduce;
  int32_t inner;
  int32_t in_zero_point, out_zero_point, lo, hi;
  float multiplier;          // ReduceMean s8
  const int32_t* exp_table;  // Softmax s8: [256]
  const float* gamma;        // LayerNorm: [reduce]
  const float* beta;
  float epsilon;  // LayerNorm: e of docs/ops.md (s8) or the plain epsilon (f32)
};

}  // namespace edgecv::kernels

#endif  // EDGECV_KERNELS_REDUCE_H_
