// Contract of kPoolS8 and kPoolF32 (docs/ops.md: MaxPool2d, AveragePool2d). Layout and strides as
// in conv.h.
#ifndef EDGECV_KERNELS_POOL_H_
#define EDGECV_KERNELS_POOL_H_

#include "kernels/kernel.h"

namespace edgecv::kernels {

enum class PoolOp : int32_t { kMax, kAverage };

struct PoolProblem {
  PoolOp op;
  int32_t batch, in_h, in_w, channels;
  int32_t out_h, out_w;
  int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
  int32_t pad_top, pad_left;
  // Average with count_include_pad counts positions in [-pad_top, in_h + count_pad_bottom),
  // likewise w.
  bool count_include_pad;
  int32_t count_pad_bottom, count_pad_right;
  int64_t in_stride, out_stride;  // elements from pixel to pixel
  const float* multiplier;        // s8 average: [kernel_h * kernel_w], indexed by count - 1
  int32_t in_zero_point, out_zero_point, lo, hi;
};

}  // namespace edgecv::kernels

#endif  // EDGECV_KERNELS_POOL_H_
