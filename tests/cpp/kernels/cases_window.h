// Problems of the families pool_* and resize_*.
#ifndef EDGECV_TESTS_CPP_KERNELS_CASES_WINDOW_H_
#define EDGECV_TESTS_CPP_KERNELS_CASES_WINDOW_H_

#include <algorithm>
#include <string>
#include <vector>

#include "cases_conv.h"
#include "cases_elementwise.h"
#include "kernels/pool.h"
#include "kernels/resize.h"

namespace edgecv_test {

inline int32_t draw_channels(Draw& draw) {
  if (draw.one_in(3)) return draw.pick({32, 64, 96, 128}) + draw.int32(-1, 1);
  return draw.int32(1, 40);
}

// Whether every window along one axis meets the image.
inline bool windows_meet_image(int32_t in, int32_t out, int32_t kernel, int32_t stride,
                               int32_t dilation, int32_t pad) {
  for (int32_t o = 0; o < out; ++o) {
    bool meets = false;
    for (int32_t k = 0; k < kernel; ++k) {
      const int32_t at = o * stride - pad + k * dilation;
      meets = meets || (at >= 0 && at < in);
    }
    if (!meets) return false;
  }
  return true;
}

// One axis of a pool: draws until the shape is valid. `declared_end` is the pad that counts for
// averages, `end` also holds what a ceil-mode pool adds.
struct PoolAxis {
  int32_t in, out, kernel, stride, dilation, pad, declared_end, end;
};

inline PoolAxis draw_pool_axis(Draw& draw, bool average) {
  PoolAxis a;
  a.kernel = draw.pick({2, 3, 3, 1, 5, 7, 4});
  a.stride = draw.int32(1, 3);
  a.dilation = average || !draw.one_in(4) ? 1 : 2;
  const int32_t reach = (a.kernel - 1) * a.dilation;
  a.in = draw.int32(1, 14);
  a.pad = draw.int32(0, reach / 2);
  a.declared_end = draw.int32(0, reach / 2);
  a.end = a.declared_end + (draw.one_in(3) ? draw.int32(0, a.stride - 1) : 0);
  a.in = std::max(a.in, reach + 1 - a.pad - a.end);
  a.out = conv_out_size(false, a.in, a.kernel, a.stride, a.dilation, a.pad + a.end, 0);
  if (!windows_meet_image(a.in, a.out, a.kernel, a.stride, a.dilation, a.pad)) {
    a.pad = a.declared_end = a.end = 0;
    a.in = std::max(a.in, reach + 1);
    a.out = conv_out_size(false, a.in, a.kernel, a.stride, a.dilation, 0, 0);
  }
  return a;
}

inline Case draw_pool_case(edgecv::kernels::Family family, Draw& draw) {
  using edgecv::kernels::PoolOp;
  Case c;
  c.family = family;
  auto& p = c.make_problem<edgecv::kernels::PoolProblem>();
  p.op = draw.one_in(2) ? PoolOp::kMax : PoolOp::kAverage;
  const bool average = p.op == PoolOp::kAverage;
  const PoolAxis h = draw_pool_axis(draw, average);
  const PoolAxis w = draw_pool_axis(draw, average);
  p.batch = draw.one_in(4) ? 2 : 1;
  p.channels = draw_channels(draw);
  p.in_h = h.in;
  p.in_w = w.in;
  p.out_h = h.out;
  p.out_w = w.out;
  p.kernel_h = h.kernel;
  p.kernel_w = w.kernel;
  p.stride_h = h.stride;
  p.stride_w = w.stride;
  p.dilation_h = h.dilation;
  p.dilation_w = w.dilation;
  p.pad_top = h.pad;
  p.pad_left = w.pad;
  p.count_include_pad = average && draw.one_in(2);
  p.count_pad_bottom = h.declared_end;
  p.count_pad_right = w.declared_end;
  p.in_stride = p.channels + (draw.one_in(3) ? draw.int32(1, 40) : 0);
  p.out_stride = p.channels + (draw.one_in(3) ? draw.int32(1, 40) : 0);
  const int64_t in_pixels = static_cast<int64_t>(p.batch) * p.in_h * p.in_w;
  const int64_t out_pixels = static_cast<int64_t>(p.batch) * p.out_h * p.out_w;
  const int64_t in_count = (in_pixels - 1) * p.in_stride + p.channels;
  c.operations = out_pixels * p.channels * p.kernel_h * p.kernel_w;
  c.text = std::string(average ? "average_pool " : "max_pool ") + std::to_string(p.batch) + "x" +
           std::to_string(p.in_h) + "x" + std::to_string(p.in_w) + "x" +
           std::to_string(p.channels) + " k" + std::to_string(p.kernel_h) + "x" +
           std::to_string(p.kernel_w) + " s" + std::to_string(p.stride_h) + "x" +
           std::to_string(p.stride_w) + " p" + std::to_string(p.pad_top) + "," +
           std::to_string(p.pad_left) + "," + std::to_string(h.end) + "," + std::to_string(w.end) +
           (p.count_include_pad ? " include_pad" : "");
  if (family == edgecv::kernels::Family::kPoolF32) {
    c.add_input(make_f32(draw, in_count, -4.0f, 4.0f));
    c.set_output<float>(out_pixels, p.channels, p.out_stride);
    return c;
  }
  if (average) {
    p.in_zero_point = draw_zero_point(draw);
    p.out_zero_point = draw_zero_point(draw);
    draw_range(draw, p.out_zero_point, &p.lo, &p.hi);
    std::vector<float> multiplier(static_cast<size_t>(p.kernel_h) * p.kernel_w);
    const float ratio = draw.pick({1.0f, draw.real(0.5f, 2.0f)});
    for (size_t k = 0; k < multiplier.size(); ++k)
      multiplier[k] = ratio / static_cast<float>(k + 1);
    p.multiplier = c.add_constant(multiplier);
  } else {
    p.lo = -128;
    p.hi = 127;
  }
  c.add_input(make_s8(draw, in_count, draw_pattern(draw), p.in_zero_point));
  c.set_output<int8_t>(out_pixels, p.channels, p.out_stride);
  return c;
}

inline Case draw_resize_case(edgecv::kernels::Family family, Draw& draw) {
  const bool f32 = family == edgecv::kernels::Family::kResizeF32;
  Case c;
  c.family = family;
  auto& p = c.make_problem<edgecv::kernels::ResizeProblem>();
  p.batch = draw.one_in(4) ? 2 : 1;
  p.in_h = draw.int32(1, 9);
  p.in_w = draw.int32(1, 9);
  p.out_h = draw.int32(1, 16);
  p.out_w = draw.int32(1, 16);
  p.channels = draw_channels(draw);
  p.in_stride = p.channels + (draw.one_in(3) ? draw.int32(1, 40) : 0);
  p.out_stride = p.channels + (draw.one_in(3) ? draw.int32(1, 40) : 0);
  const int32_t kind =
      draw.int32(0, 2);  // 0: nearest, 1: bilinear, 2: any indices, extreme weights
  const auto make_axis = [&](int32_t in, int32_t out, const int32_t** index, const void** weight) {
    std::vector<int32_t> indices(static_cast<size_t>(out) * 2);
    std::vector<int32_t> q11(static_cast<size_t>(out));
    std::vector<float> real(static_cast<size_t>(out));
    for (int32_t o = 0; o < out; ++o) {
      const float at = std::max(
          0.0f,
          (static_cast<float>(o) + 0.5f) * static_cast<float>(in) / static_cast<float>(out) - 0.5f);
      const int32_t first = std::min(static_cast<int32_t>(at), in - 1);
      const size_t i = static_cast<size_t>(o);
      indices[i] = kind == 2 ? draw.int32(0, in - 1) : first;
      indices[i + static_cast<size_t>(out)] =
          kind == 2 ? draw.int32(0, in - 1) : std::min(first + 1, in - 1);
      q11[i] = static_cast<int32_t>((at - static_cast<float>(first)) * 2048.0f);
      if (kind == 0) q11[i] = 0;
      if (kind == 2) q11[i] = draw.pick({0, 1, 1024, 2047, 2048, draw.int32(0, 2048)});
      real[i] = static_cast<float>(q11[i]) / 2048.0f;
    }
    *index = c.add_constant(indices);
    *weight = f32 ? static_cast<const void*>(c.add_constant(real)) : c.add_constant(q11);
  };
  make_axis(p.in_h, p.out_h, &p.y_index, &p.y_weight);
  make_axis(p.in_w, p.out_w, &p.x_index, &p.x_weight);
  const int64_t in_count =
      (static_cast<int64_t>(p.batch) * p.in_h * p.in_w - 1) * p.in_stride + p.channels;
  const int64_t out_pixels = static_cast<int64_t>(p.batch) * p.out_h * p.out_w;
  c.operations = out_pixels * p.channels;
  if (f32) {
    c.add_input(make_f32(draw, in_count, -4.0f, 4.0f));
    c.set_output<float>(out_pixels, p.channels, p.out_stride);
  } else {
    c.add_input(make_s8(draw, in_count, draw_pattern(draw), 0));
    c.set_output<int8_t>(out_pixels, p.channels, p.out_stride);
  }
  c.text = std::string(f32 ? "resize_f32 " : "resize_s8 ") + std::to_string(p.in_h) + "x" +
           std::to_string(p.in_w) + "->" + std::to_string(p.out_h) + "x" + std::to_string(p.out_w) +
           "x" + std::to_string(p.channels) + " kind " + std::to_string(kind);
  return c;
}

}  // namespace edgecv_test

#endif  // EDGECV_TESTS_CPP_KERNELS_CASES_WINDOW_H_
