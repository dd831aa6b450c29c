// Resize s8, NHWC, kWords channels a step. A work item is an output row.
//
// With Q11 weights, madd_s16 makes a horizontal step (pairs p0, p1 times pairs 2048 - wx, wx) and
// two mul_low_s32 the vertical one; |values| stay below 2^30. A pixel whose weights are both 0
// (nearest neighbour) is a copy.
#ifndef EDGECV_KERNELS_SIMD_RESIZE_H_
#define EDGECV_KERNELS_SIMD_RESIZE_H_

#include "kernels/resize.h"

namespace edgecv::kernels::EDGECV_ISA {
namespace {

const ResizeProblem& as_resize(const void* problem) {
  return *static_cast<const ResizeProblem*>(problem);
}

int64_t resize_items(const void* problem) {
  const ResizeProblem& p = as_resize(problem);
  return int64_t{p.batch} * p.out_h;
}

struct Corners {
  const int8_t* at[4];  // top left, top right, bottom left, bottom right
  Vec horizontal;       // s16 pairs (2048 - wx, wx)
  Vec top, bottom;      // s32 2048 - wy, wy
};

// kDwords channels from words of the four corners, already interleaved left with right.
EDGECV_INLINE Vec blend(Vec top, Vec bottom, const Corners& k) {
  const Vec upper = mul_low_s32(madd_s16(top, k.horizontal), k.top);
  const Vec lower = mul_low_s32(madd_s16(bottom, k.horizontal), k.bottom);
  return shift_right_s32<22>(add_s32(add_s32(upper, lower), set1_s32(1 << 21)));
}

// kWords channels.
EDGECV_INLINE V128 blend_half(V128 p00, V128 p01, V128 p10, V128 p11, const Corners& k) {
  Vec top[2], bottom[2];
  interleave_s8_s16(p00, p01, &top[0], &top[1]);
  interleave_s8_s16(p10, p11, &bottom[0], &bottom[1]);
  const Vec words = narrow_s32(blend(top[0], bottom[0], k), blend(top[1], bottom[1], k));
  return low_half(narrow_s16(words, words));
}

void resize_pixel(const Corners k, int64_t channels, int8_t* y) {
  int64_t c = 0;
  for (; c + kWords <= channels; c += kWords) {
    store_half(y + c, blend_half(load_half(k.at[0] + c), load_half(k.at[1] + c),
                                 load_half(k.at[2] + c), load_half(k.at[3] + c), k));
  }
  if (c < channels) {
    const int64_t left = channels - c;
    const V128 out = blend_half(load_tail(k.at[0] + c, left), load_tail(k.at[1] + c, left),
                                load_tail(k.at[2] + c, left), load_tail(k.at[3] + c, left), k);
    store_tail(y + c, out, left);
  }
}

int resize_run(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const ResizeProblem& p = as_resize(problem);
  const auto* y_weight = static_cast<const int32_t*>(p.y_weight);
  const auto* x_weight = static_cast<const int32_t*>(p.x_weight);
  for (int64_t item = begin; item < end; ++item) {
    const int64_t n = item / p.out_h, oy = item % p.out_h;
    const auto* image =
        static_cast<const int8_t*>(operands.in[0]) + n * p.in_h * p.in_w * p.in_stride;
    const int8_t* first = image + int64_t{p.y_index[oy]} * p.in_w * p.in_stride;
    const int8_t* second = image + int64_t{p.y_index[p.out_h + oy]} * p.in_w * p.in_stride;
    auto* y = static_cast<int8_t*>(operands.out) + item * p.out_w * p.out_stride;
    const int32_t wy = y_weight[oy];
    Corners k;
    k.top = set1_s32(2048 - wy);
    k.bottom = set1_s32(wy);
    for (int64_t ox = 0; ox < p.out_w; ++ox, y += p.out_stride) {
      const int64_t x0 = p.x_index[ox] * p.in_stride, x1 = p.x_index[p.out_w + ox] * p.in_stride;
      const int32_t wx = x_weight[ox];
      if (wx == 0 && wy == 0) {
        memcpy(y, first + x0, static_cast<size_t>(p.channels));
        continue;
      }
      k.at[0] = first + x0;
      k.at[1] = first + x1;
      k.at[2] = second + x0;
      k.at[3] = second + x1;
      k.horizontal = set1_s32(
          static_cast<int32_t>(static_cast<uint32_t>(wx) << 16 | static_cast<uint32_t>(2048 - wx)));
      resize_pixel(k, p.channels, y);
    }
  }
  return 0;
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_SIMD_RESIZE_H_
