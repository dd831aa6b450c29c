// Problems of the families matmul_*, move, and those that reduce or normalize an axis.
#ifndef EDGECV_TESTS_CPP_KERNELS_CASES_MATRIX_H_
#define EDGECV_TESTS_CPP_KERNELS_CASES_MATRIX_H_

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "cases_elementwise.h"
#include "kernels/matmul.h"
#include "kernels/move.h"
#include "kernels/reduce.h"

namespace edgecv_test {

inline Case draw_matmul_case(edgecv::kernels::Family family, Draw& draw) {
  Case c;
  c.family = family;
  auto& p = c.make_problem<edgecv::kernels::MatMulProblem>();
  const auto size = [&draw] {
    return draw.one_in(4) ? draw.pick({64, 128, 48}) + draw.int32(-1, 1) : draw.int32(1, 40);
  };
  p.m = draw.int32(1, 20);
  p.n = size();
  p.k = size();
  p.transpose_b = draw.one_in(2);
  p.batch_rank = draw.int32(0, 3);
  int64_t a_count = static_cast<int64_t>(p.m) * p.k;
  int64_t b_count = static_cast<int64_t>(p.k) * p.n;
  int64_t batches = 1;
  for (int32_t i = p.batch_rank - 1; i >= 0; --i) {
    p.batch_dims[i] = draw.int32(1, 3);
    batches *= p.batch_dims[i];
    const int32_t broadcast = draw.int32(0, 4);  // 1: a, 2: b
    p.a_stride[i] = broadcast == 1 ? 0 : a_count;
    p.b_stride[i] = broadcast == 2 ? 0 : b_count;
    if (broadcast != 1) a_count *= p.batch_dims[i];
    if (broadcast != 2) b_count *= p.batch_dims[i];
  }
  const int64_t out_count = batches * p.m * p.n;
  c.operations = out_count * p.k;
  c.text = "matmul " + dims_text(p.batch_dims, p.batch_rank) + " m" + std::to_string(p.m) + " n" +
           std::to_string(p.n) + " k" + std::to_string(p.k) + (p.transpose_b ? " transposed" : "");
  if (family == edgecv::kernels::Family::kMatMulF32) {
    c.add_input(make_f32(draw, a_count, -2.0f, 2.0f));
    c.add_input(make_f32(draw, b_count, -2.0f, 2.0f));
    c.set_dense_output<float>(out_count);
    return c;
  }
  p.a_zero_point = draw_zero_point(draw);
  p.b_zero_point = draw_zero_point(draw);
  p.out_zero_point = draw_zero_point(draw);
  draw_range(draw, p.out_zero_point, &p.lo, &p.hi);
  const float reach = 255.0f * 255.0f * static_cast<float>(p.k);
  p.multiplier = draw_multiplier(draw, 127.0f * std::sqrt(static_cast<float>(p.k)) / reach,
                                 0x1.FFp30f / reach);
  c.add_input(make_s8(draw, a_count, draw_pattern(draw), p.a_zero_point));
  c.add_input(make_s8(draw, b_count, draw_pattern(draw), p.b_zero_point));
  c.set_dense_output<int8_t>(out_count);
  return c;
}

// A channel shuffle: per pixel, `groups` runs become one, with gaps between the pixels. One pixel
// of many channels: the planes of a picture become pixels.
inline Case draw_shuffle_case(edgecv::kernels::Family family, Draw& draw) {
  Case c;
  c.family = family;
  auto& p = c.make_problem<edgecv::kernels::MoveProblem>();
  const int32_t groups = draw.int32(2, 5);
  const bool planes = draw.one_in(5);
  const int32_t channels =
      planes ? draw.int32(1500, 9000)
             : draw.pick({draw.int32(1, 40), draw.int32(40, 300), 16, 32, 58, 116});
  const int32_t pixels = planes ? 1 : draw.pick({draw.int32(1, 9), draw.int32(1, 400)});
  const int32_t run = groups * channels;
  p.element_bytes = draw.pick({1, 1, 1, 4});
  p.rank = 3;
  const int32_t dims[3] = {pixels, channels, groups};
  for (int32_t i = 0; i < 3; ++i) p.dims[i] = dims[i];
  const int32_t in_pixel = run + draw.pick({0, 0, draw.int32(1, 70)});
  const int32_t out_pixel = run + draw.pick({0, 0, draw.int32(1, 70)});
  const int32_t in_stride[3] = {in_pixel, 1, channels}, out_stride[3] = {out_pixel, groups, 1};
  for (int32_t i = 0; i < 3; ++i) {
    p.in_stride[i] = int64_t{in_stride[i]} * p.element_bytes;
    p.out_stride[i] = int64_t{out_stride[i]} * p.element_bytes;
  }
  const int64_t in_bytes = (int64_t{pixels - 1} * in_pixel + run) * p.element_bytes;
  p.out_bytes = (int64_t{pixels - 1} * out_pixel + run) * p.element_bytes;
  c.operations = p.out_bytes;
  c.add_input(make_s8(draw, in_bytes, Pattern::kRandom, 0));
  c.set_dense_output<int8_t>(p.out_bytes);
  c.text = "shuffle " + dims_text(p.dims, p.rank) + " of " + std::to_string(p.element_bytes) +
           " bytes, pixels " + std::to_string(in_pixel) + " and " + std::to_string(out_pixel);
  return c;
}

// A box of elements between two dense tensors whose dims are at least the box: what slice (steps),
// transpose (permuted strides), concat (an offset) and pad (an offset and a fill) amount to.
inline Case draw_move_case(edgecv::kernels::Family family, Draw& draw) {
  if (draw.one_in(4)) return draw_shuffle_case(family, draw);
  Case c;
  c.family = family;
  auto& p = c.make_problem<edgecv::kernels::MoveProblem>();
  p.rank = draw.int32(1, 5);
  p.fill = draw.one_in(4);
  p.fill_bytes = p.fill && draw.one_in(2) ? 4 : 1;
  p.element_bytes =
      p.fill_bytes == 4 ? draw.pick({4, 4, 12}) : draw.pick({1, 1, 4, draw.int32(2, 70)});
  p.fill_bits = static_cast<uint32_t>(draw.next());
  for (int32_t i = 0; i < p.rank; ++i) {
    p.dims[i] = draw.one_in(6) ? draw.int32(10, 40) : draw.int32(1, 5);
  }
  // Lays the box out in a dense tensor whose axes are a permutation of the box's; returns the
  // tensor's bytes.
  const auto lay_out = [&](int64_t* stride, int64_t* offset, bool steps) {
    int32_t order[8];
    for (int32_t i = 0; i < p.rank; ++i) order[i] = i;
    if (draw.one_in(2)) {
      for (int32_t i = p.rank - 1; i > 0; --i) std::swap(order[i], order[draw.int32(0, i)]);
    }
    int64_t bytes = p.element_bytes;
    *offset = 0;
    for (int32_t i = p.rank - 1; i >= 0; --i) {
      const int32_t axis = order[i];
      const int32_t step = steps && draw.one_in(4) ? draw.int32(2, 3) : 1;
      const int32_t before = draw.one_in(3) ? draw.int32(0, 3) : 0;
      const int32_t after = draw.one_in(3) ? draw.int32(0, 3) : 0;
      stride[axis] = bytes * step;
      *offset += bytes * before;
      bytes *= before + (p.dims[axis] - 1) * step + 1 + after;
    }
    return bytes;
  };
  const int64_t in_bytes = lay_out(p.in_stride, &p.in_offset, true);
  p.out_bytes = lay_out(p.out_stride, &p.out_offset, false);
  c.operations = p.out_bytes;
  c.add_input(make_s8(draw, in_bytes, Pattern::kRandom, 0));
  c.set_dense_output<int8_t>(p.out_bytes);
  c.text = "move " + dims_text(p.dims, p.rank) + " of " + std::to_string(p.element_bytes) +
           " bytes" + (p.fill ? " fill " + std::to_string(p.fill_bytes) : "");
  return c;
}

inline int64_t draw_reduce_shape(Draw& draw, bool rows, edgecv::kernels::ReduceProblem* p) {
  p->outer = draw.int32(1, 6);
  p->reduce = draw.one_in(6) ? draw.int32(500, 2100) : draw.int32(1, 70);
  p->inner = 1;
  if (!rows && !draw.one_in(4)) p->inner = p->reduce > 400 ? draw.int32(1, 6) : draw.int32(1, 150);
  return p->outer * p->reduce * p->inner;
}

inline std::string reduce_text(const char* name, const edgecv::kernels::ReduceProblem& p) {
  return std::string(name) + " " + std::to_string(p.outer) + "x" + std::to_string(p.reduce) + "x" +
         std::to_string(p.inner);
}

inline Case draw_mean_case(edgecv::kernels::Family family, Draw& draw) {
  Case c;
  c.family = family;
  auto& p = c.make_problem<edgecv::kernels::ReduceProblem>();
  const int64_t count = draw_reduce_shape(draw, false, &p);
  c.operations = count;
  if (family == edgecv::kernels::Family::kReduceMeanF32) {
    c.add_input(make_f32(draw, count, -1.0f, 3.0f));
    c.set_dense_output<float>(p.outer * p.inner);
    c.text = reduce_text("mean_f32", p);
    return c;
  }
  p.in_zero_point = draw_zero_point(draw);
  p.out_zero_point = draw_zero_point(draw);
  draw_range(draw, p.out_zero_point, &p.lo, &p.hi);
  const float reach = 255.0f * static_cast<float>(p.reduce);
  p.multiplier = draw_multiplier(draw, 1.0f / static_cast<float>(p.reduce), 0x1.FFp30f / reach);
  c.add_input(make_s8(draw, count, draw_pattern(draw), p.in_zero_point));
  c.set_dense_output<int8_t>(p.outer * p.inner);
  c.text = reduce_text("mean_s8", p);
  return c;
}

inline Case draw_argmax_case(edgecv::kernels::Family family, Draw& draw) {
  Case c;
  c.family = family;
  auto& p = c.make_problem<edgecv::kernels::ReduceProblem>();
  const int64_t count = draw_reduce_shape(draw, true, &p);
  c.operations = count;
  c.text = reduce_text("argmax", p);
  // The patterns with few values have the largest one many times.
  const std::vector<int8_t> values = make_s8(draw, count, draw_pattern(draw), 3);
  if (family == edgecv::kernels::Family::kArgMaxS8) {
    c.add_input(values);
  } else {
    c.add_input(std::vector<float>(values.begin(), values.end()));
  }
  c.set_dense_output<int32_t>(p.outer);
  return c;
}

inline Case draw_softmax_case(edgecv::kernels::Family family, Draw& draw) {
  Case c;
  c.family = family;
  auto& p = c.make_problem<edgecv::kernels::ReduceProblem>();
  const int64_t count = draw_reduce_shape(draw, true, &p);
  c.operations = count;
  c.text = reduce_text("softmax", p);
  if (family == edgecv::kernels::Family::kSoftmaxF32) {
    c.add_input(make_f32(draw, count, -20.0f, 20.0f));
    c.set_dense_output<float>(count);
    return c;
  }
  const int32_t bits = std::min(23, 30 - static_cast<int32_t>(std::ceil(std::log2(p.reduce))));
  const double scale = draw.pick({0.0, 0.01, 0.1, 1.0, 100.0});
  std::vector<int32_t> table(256);
  for (size_t d = 0; d < table.size(); ++d) {
    table[d] = static_cast<int32_t>(
        std::lround(std::ldexp(std::exp(-scale * static_cast<double>(d)), bits)));
  }
  p.exp_table = c.add_constant(table);
  c.add_input(make_s8(draw, count, draw_pattern(draw), 0));
  c.set_dense_output<int8_t>(count);
  return c;
}

inline Case draw_layer_norm_case(edgecv::kernels::Family family, Draw& draw) {
  Case c;
  c.family = family;
  auto& p = c.make_problem<edgecv::kernels::ReduceProblem>();
  const int64_t count = draw_reduce_shape(draw, true, &p);
  c.operations = count;
  c.text = reduce_text("layer_norm", p);
  const float size = draw.pick({1.0f, 30.0f, 1e12f});
  if (family == edgecv::kernels::Family::kLayerNormF32) {
    p.gamma = c.add_constant(make_f32(draw, p.reduce, -2.0f, 2.0f));
    p.beta = c.add_constant(make_f32(draw, p.reduce, -2.0f, 2.0f));
    p.epsilon = 1e-5f;
    c.add_input(make_f32(draw, count, -1.0f, 3.0f));
    c.set_dense_output<float>(count);
    return c;
  }
  p.gamma = c.add_constant(make_f32(draw, p.reduce, -size, size));
  p.beta = c.add_constant(make_f32(draw, p.reduce, -size, size));
  p.epsilon = draw.pick({1e-30f, 0.01f, 1.0f, 1e6f});
  p.out_zero_point = draw_zero_point(draw);
  draw_range(draw, p.out_zero_point, &p.lo, &p.hi);
  c.add_input(make_s8(draw, count, draw_pattern(draw), 7));
  c.set_dense_output<int8_t>(count);
  return c;
}

}  // namespace edgecv_test

#endif  // EDGECV_TESTS_CPP_KERNELS_CASES_MATRIX_H_
