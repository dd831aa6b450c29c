// The two directions of a convolution over one set of loops: they differ only in which input row or
// column meets which kernel row or column.
#ifndef EDGECV_KERNELS_REFERENCE_CONV_COMMON_H_
#define EDGECV_KERNELS_REFERENCE_CONV_COMMON_H_

#include "kernels/conv.h"

namespace edgecv::kernels::reference {

enum class Direction { kForward, kTranspose };

// The input coordinate that output coordinate `out` meets at kernel coordinate `k`, or -1 when it
// lies outside the image or between two strides.
template <Direction kDirection>
inline int32_t input_coordinate(int32_t out, int32_t k, int32_t stride, int32_t dilation,
                                int32_t pad, int32_t size) {
  if constexpr (kDirection == Direction::kForward) {
    const int32_t in = out * stride + k * dilation - pad;
    return in >= 0 && in < size ? in : -1;
  } else {
    const int32_t scaled = out + pad - k * dilation;
    if (scaled < 0 || scaled % stride != 0) return -1;
    const int32_t in = scaled / stride;
    return in < size ? in : -1;
  }
}

// An output pixel by its index in [0, batch * out_h * out_w).
struct Pixel {
  int32_t n, oh, ow;
};

inline Pixel pixel_at(const ConvProblem& p, int64_t index) {
  const int64_t row = index / p.out_w;
  return {static_cast<int32_t>(row / p.out_h), static_cast<int32_t>(row % p.out_h),
          static_cast<int32_t>(index % p.out_w)};
}

// Index of the input pixel under output pixel `at` at tap (kh, kw), or -1.
template <Direction kDirection>
inline int64_t input_pixel(const ConvProblem& p, const Pixel& at, int32_t kh, int32_t kw) {
  const int32_t ih =
      input_coordinate<kDirection>(at.oh, kh, p.stride_h, p.dilation_h, p.pad_top, p.in_h);
  const int32_t iw =
      input_coordinate<kDirection>(at.ow, kw, p.stride_w, p.dilation_w, p.pad_left, p.in_w);
  if (ih < 0 || iw < 0) return -1;
  return (static_cast<int64_t>(at.n) * p.in_h + ih) * p.in_w + iw;
}

}  // namespace edgecv::kernels::reference

#endif  // EDGECV_KERNELS_REFERENCE_CONV_COMMON_H_
