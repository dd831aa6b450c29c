// Contract of the families kConvS8, kConvF32, kConvTransposeS8 and kConvTransposeF32 (docs/ops.md:
// Conv2d, ConvTranspose2d, FullyConnected).
//
//   acc(n, oh, ow, o) = bias[o] + sum over kh, kw, i of
//       w[o][kh][kw][i] * (x[n][oh * stride_h + kh * dilation_h - pad_top][...likewise w][g *
//       C/groups + i] - in_zero_point)
//   y = clamp(rint(float(acc) * multiplier[o]) + out_zero_point, lo, hi)
//
// NHWC. in[0] is x: pixel (n,h,w) starts at ((n * in_h + h) * in_w + w) * in_stride elements; its
// channels are adjacent. out likewise with out_stride. Weights are dense
// [out_c][kernel_h][kernel_w][in_c / groups]. FullyConnected is a 1x1 with in_h = batch = 1 and
// in_w = rows. Constant pointers (weights, bias, multiplier) stay valid while pack() runs; a kernel
// with packed_bytes() == 0 may read them in run() and the planner then keeps them mapped.
#ifndef EDGECV_KERNELS_CONV_H_
#define EDGECV_KERNELS_CONV_H_

#include "kernels/kernel.h"

namespace edgecv::kernels {

struct ConvProblem {
  int32_t batch, in_h, in_w, in_c;
  int32_t out_h, out_w, out_c;
  int32_t kernel_h, kernel_w;
  int32_t stride_h, stride_w;
  int32_t dilation_h, dilation_w;
  int32_t pad_top, pad_left;  // bottom and right follow from out_h, out_w
  int32_t groups;
  int64_t in_stride, out_stride;  // elements from pixel to pixel, >= in_c, out_c
  const void* weights;            // s8 or f32
  const void* bias;               // s32 (never null) or f32 (null: zeros)
  const float* multiplier;        // s8: [out_c]
  int32_t in_zero_point, out_zero_point;
  int32_t lo, hi;        // s8 clamp
  int32_t in_lo, in_hi;  // s8: proven to hold every value of x and in_zero_point (runtime/bounds.h)
  float lo_f, hi_f;      // f32 clamp
};

}  // namespace edgecv::kernels

#endif  // EDGECV_KERNELS_CONV_H_
