// Contracts of the elementwise families (docs/ops.md: Add, Sub, Mul, Div, Lookup, Unary, PRelu,
// Quantize, Dequantize).
#ifndef EDGECV_KERNELS_ELEMENTWISE_H_
#define EDGECV_KERNELS_ELEMENTWISE_H_

#include "kernels/kernel.h"

namespace edgecv::kernels {

enum class BinaryOp : int32_t { kAdd, kSub, kMul, kDiv };  // kDiv: f32 only

// out shares no memory with an input.

// kBinaryS8, kBinaryF32, over dims[0..rank): operand a is read at sum i_j * a_stride[j] elements
// (0: broadcast), b likewise, and out written at sum i_j * out_stride[j], where out_stride[rank -
// 1] is
// 1. The op code merges dims that can be merged, so equal dense shapes come as rank 1 with strides
// 1, and a per-channel operand as rank 2 {pixels, C} with strides {0, 1}.
//   add: y = clamp(rint(float(a - za) * ma + float(b - zb) * mb) + zy, lo, hi), sub with '-'
//   mul: y = clamp(rint(float((a - za) * (b - zb)) * ma) + zy, lo, hi)
struct BinaryProblem {
  BinaryOp op;
  int32_t rank;  // 1..8
  int32_t dims[8];
  int64_t a_stride[8], b_stride[8], out_stride[8];
  int32_t a_zero_point, b_zero_point, out_zero_point, lo, hi;
  float ma, mb;            // mul uses ma alone
  float lo_f, hi_f;        // f32 clamp
  const void* a_constant;  // set when that operand is a constant of the file; in[] then skips it
  const void* b_constant;
};

// kLookupS8 (table), kUnaryF32 (function, alpha, beta), kQuantize and kDequantize (scale,
// zero_point): `runs` runs of `count` elements. Dense tensors come as one run.
struct UnaryProblem {
  int64_t runs, count;
  int64_t in_stride, out_stride;  // elements from run to run, >= count
  const int8_t* table;            // [256], indexed by q + 128
  int32_t function;               // docs/ops.md, functions of Unary
  float alpha, beta;
  float scale;
  int32_t zero_point;
};

// kPReluS8, kPReluF32: x is [pixels][channels], slope has `channels` entries or one (slope_count).
//   s8: d = x - zx; y = clamp(rint(float(d) * (d >= 0 ? m_positive : slope[c])) + zy, lo, hi)
struct PReluProblem {
  int64_t pixels;
  int32_t channels;
  int32_t slope_count;
  const float* slope;
  float m_positive;
  int32_t in_zero_point, out_zero_point, lo, hi;
};

}  // namespace edgecv::kernels

#endif  // EDGECV_KERNELS_ELEMENTWISE_H_
