// Contract of kResizeS8 and kResizeF32 (docs/ops.md: Resize2d). Layout and strides as in conv.h.
#ifndef EDGECV_KERNELS_RESIZE_H_
#define EDGECV_KERNELS_RESIZE_H_

#include "kernels/kernel.h"

namespace edgecv::kernels {

struct ResizeProblem {
  int32_t batch, in_h, in_w, channels, out_h, out_w;
  int64_t in_stride, out_stride;  // elements from pixel to pixel
  const int32_t* y_index;         // [2][out_h], each in [0, in_h)
  const int32_t* x_index;         // [2][out_w]
  const void* y_weight;           // s32 Q11 [out_h] (s8) or f32: weight of the second index
  const void* x_weight;
};

}  // namespace edgecv::kernels

#endif  // EDGECV_KERNELS_RESIZE_H_
