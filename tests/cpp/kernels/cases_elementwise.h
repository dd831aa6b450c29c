// Problems of the elementwise families.
#ifndef EDGECV_TESTS_CPP_KERNELS_CASES_ELEMENTWISE_H_
#define EDGECV_TESTS_CPP_KERNELS_CASES_ELEMENTWISE_H_

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "case.h"
#include "kernels/elementwise.h"

namespace edgecv_test {

// A multiplier at most `limit`: ordinary, a power of two (exact ties), the smallest, the largest.
inline float draw_multiplier(Draw& draw, float typical, float limit) {
  const int32_t kind = draw.int32(0, 7);
  float value = typical * draw.real(0.3f, 3.0f);
  if (kind < 3) value = std::exp2(std::floor(std::log2(value)));
  if (kind == 3) value = 0x1p-100f;
  if (kind == 4) value = 0x1p20f;
  return std::min(value, limit);
}

// A length that meets tails, or one above the size of a work item.
inline int32_t draw_length(Draw& draw) {
  const int32_t kind = draw.int32(0, 9);
  if (kind == 0) return draw.int32(4000, 13000);
  if (kind < 3) return draw.pick({32, 64, 128, 256}) + draw.int32(-1, 1);
  return draw.int32(1, 70);
}

inline std::string dims_text(const int32_t* dims, int32_t rank) {
  std::string text;
  for (int32_t i = 0; i < rank; ++i) text += (i == 0 ? "" : "x") + std::to_string(dims[i]);
  return text;
}

// Strides of an operand over dims, 0 for the dims it broadcasts; `gap` elements lie between the
// rows of a pixel stride. Returns how many elements there are from the first to the last.
inline int64_t draw_operand_strides(Draw& draw, const edgecv::kernels::BinaryProblem& p,
                                    int32_t form, int64_t gap, int64_t* stride) {
  int64_t step = 1, count = 1;
  for (int32_t i = p.rank - 1; i >= 0; --i) {
    bool broadcast = false;
    if (form == 1) broadcast = i + 1 < p.rank;  // per channel
    if (form == 2) broadcast = true;            // a scalar
    if (form == 3) broadcast = draw.one_in(2);
    stride[i] = broadcast ? 0 : step;
    count += stride[i] * (p.dims[i] - 1);
    if (!broadcast) step *= p.dims[i];
    if (i + 1 == p.rank) step += gap;
  }
  return count;
}

inline int64_t draw_gap(Draw& draw) { return draw.one_in(3) ? draw.int32(1, 70) : 0; }

inline Case draw_binary_case(edgecv::kernels::Family family, Draw& draw) {
  using edgecv::kernels::BinaryOp;
  const bool f32 = family == edgecv::kernels::Family::kBinaryF32;
  Case c;
  c.family = family;
  auto& p = c.make_problem<edgecv::kernels::BinaryProblem>();
  p.op = static_cast<BinaryOp>(draw.int32(0, f32 ? 3 : 2));
  p.rank = draw.pick({1, 1, 2, 2, 3, 4});
  int64_t count = 1;
  for (int32_t i = 0; i < p.rank; ++i) {
    p.dims[i] = i + 1 == p.rank ? draw_length(draw) : draw.int32(1, 6);
    if (i + 2 == p.rank && draw.one_in(8)) p.dims[i] = draw.int32(7, 200);
    count *= p.dims[i];
  }
  const int32_t form =
      draw.int32(0, 4);  // of one operand; the other one is full, or random with form 3
  const bool swapped = draw.one_in(2);
  int64_t a_count = draw_operand_strides(draw, p, form == 3 ? 3 : 0, draw_gap(draw), p.a_stride);
  int64_t b_count = draw_operand_strides(draw, p, form, draw_gap(draw), p.b_stride);
  const int64_t gap = draw_gap(draw);
  const int64_t row = p.dims[p.rank - 1];
  draw_operand_strides(draw, p, 0, gap, p.out_stride);
  if (swapped) {
    std::swap(a_count, b_count);
    for (int32_t i = 0; i < 8; ++i) std::swap(p.a_stride[i], p.b_stride[i]);
  }
  const int32_t constant = draw.int32(0, 5);  // 1: a, 2: b
  const auto add = [&](const auto& values, int32_t which, const void** pointer) {
    if (constant == which) {
      *pointer = c.add_constant(values);
    } else {
      c.add_input(values);
    }
  };
  c.operations = count;
  c.text = std::string(f32 ? "binary_f32" : "binary_s8") + " op " +
           std::to_string(static_cast<int32_t>(p.op)) + " " + dims_text(p.dims, p.rank) + " form " +
           std::to_string(form) + (swapped ? " swapped" : "") + " gap " + std::to_string(gap) +
           " constant " + std::to_string(constant);
  if (f32) {
    p.lo_f = draw.one_in(3) ? 0.0f : -INFINITY;
    p.hi_f = draw.one_in(3) ? 6.0f : INFINITY;
    add(make_f32(draw, a_count, -4.0f, 4.0f), 1, &p.a_constant);
    const bool division = p.op == BinaryOp::kDiv;
    add(make_f32(draw, b_count, division ? 0.5f : -4.0f, 4.0f), 2, &p.b_constant);
    c.set_output<float>(count / row, row, row + gap);
    return c;
  }
  p.a_zero_point = draw_zero_point(draw);
  p.b_zero_point = draw_zero_point(draw);
  p.out_zero_point = draw_zero_point(draw);
  draw_range(draw, p.out_zero_point, &p.lo, &p.hi);
  if (p.op == BinaryOp::kMul) {
    p.ma = draw_multiplier(draw, 0.01f, 0x1p14f);
  } else {
    p.ma = draw_multiplier(draw, 0.7f, 0x1p20f);
    p.mb = draw_multiplier(draw, 0.7f, 0x1p20f);
  }
  add(make_s8(draw, a_count, draw_pattern(draw), p.a_zero_point), 1, &p.a_constant);
  add(make_s8(draw, b_count, draw_pattern(draw), p.b_zero_point), 2, &p.b_constant);
  c.set_output<int8_t>(count / row, row, row + gap);
  return c;
}

// One run, or several with gaps; returns how many elements the input has from the first to the
// last.
template <typename Out>
int64_t draw_runs(Draw& draw, Case* c, edgecv::kernels::UnaryProblem* p) {
  p->runs = 1;
  p->count = draw_length(draw);
  if (draw.one_in(2)) p->runs = draw.int32(1, p->count > 1000 ? 3 : 300);
  p->in_stride = p->count + draw_gap(draw);
  p->out_stride = p->count + draw_gap(draw);
  c->operations = p->runs * p->count;
  c->set_output<Out>(p->runs, p->count, p->out_stride);
  c->text = std::to_string(p->runs) + " runs of " + std::to_string(p->count) + ", " +
            std::to_string(p->in_stride) + " and " + std::to_string(p->out_stride) + " apart";
  return (p->runs - 1) * p->in_stride + p->count;
}

inline Case draw_lookup_case(edgecv::kernels::Family family, Draw& draw) {
  Case c;
  c.family = family;
  auto& p = c.make_problem<edgecv::kernels::UnaryProblem>();
  const int64_t reach = draw_runs<int8_t>(draw, &c, &p);
  p.table = c.add_constant(make_s8(draw, 256, Pattern::kRandom, 0));
  c.add_input(make_s8(draw, reach, draw_pattern(draw), 0));
  c.text = "lookup_s8 " + c.text;
  return c;
}

inline Case draw_unary_case(edgecv::kernels::Family family, Draw& draw) {
  Case c;
  c.family = family;
  auto& p = c.make_problem<edgecv::kernels::UnaryProblem>();
  const int64_t elements = draw_runs<float>(draw, &c, &p);
  p.function = draw.int32(1, 20);
  p.alpha = draw.real(-1.0f, 1.0f);
  p.beta = p.function == 2 ? p.alpha + draw.real(0.0f, 4.0f) : draw.real(0.0f, 1.0f);
  const bool positive = p.function == 13 || p.function == 14 || p.function == 17;
  const float reach = draw.pick({1.0f, 8.0f, 30.0f});
  c.add_input(make_f32(draw, elements, positive ? 0.125f : -reach, reach));
  c.text = "unary_f32 function " + std::to_string(p.function) + " " + c.text;
  return c;
}

inline Case draw_prelu_case(edgecv::kernels::Family family, Draw& draw) {
  Case c;
  c.family = family;
  auto& p = c.make_problem<edgecv::kernels::PReluProblem>();
  p.channels = draw_length(draw);
  p.pixels =
      p.channels > 1000 ? draw.int32(1, 3) : draw.pick({draw.int32(1, 9), draw.int32(1, 200)});
  p.slope_count = draw.one_in(3) ? 1 : p.channels;
  const int64_t count = p.pixels * p.channels;
  p.slope = c.add_constant(make_f32(draw, p.slope_count, -0.5f, 1.0f));
  c.operations = count;
  c.text = std::to_string(p.pixels) + "x" + std::to_string(p.channels) + " slopes " +
           std::to_string(p.slope_count);
  if (family == edgecv::kernels::Family::kPReluF32) {
    c.add_input(make_f32(draw, count, -4.0f, 4.0f));
    c.set_dense_output<float>(count);
    c.text = "prelu_f32 " + c.text;
    return c;
  }
  p.in_zero_point = draw_zero_point(draw);
  p.out_zero_point = draw_zero_point(draw);
  draw_range(draw, p.out_zero_point, &p.lo, &p.hi);
  p.m_positive = draw_multiplier(draw, 1.0f, 0x1p20f);
  c.add_input(make_s8(draw, count, draw_pattern(draw), p.in_zero_point));
  c.set_dense_output<int8_t>(count);
  c.text = "prelu_s8 " + c.text;
  return c;
}

inline Case draw_quantize_case(edgecv::kernels::Family family, Draw& draw) {
  Case c;
  c.family = family;
  auto& p = c.make_problem<edgecv::kernels::UnaryProblem>();
  const bool dequantize = family == edgecv::kernels::Family::kDequantize;
  const int64_t reach =
      dequantize ? draw_runs<float>(draw, &c, &p) : draw_runs<int8_t>(draw, &c, &p);
  p.zero_point = draw_zero_point(draw);
  p.scale = draw.pick({draw.real(0.001f, 0.1f), 0.25f, 1.0f, 1e-20f, 1e20f});
  if (dequantize) {
    c.add_input(make_s8(draw, reach, draw_pattern(draw), p.zero_point));
    c.text = "dequantize " + c.text;
    return c;
  }
  std::vector<float> x = make_f32(draw, reach, -200.0f * p.scale, 200.0f * p.scale);
  for (float& value : x) {
    const uint64_t kind = draw.next() % 16;
    if (kind < 4) value = (std::floor(value / p.scale) + 0.5f) * p.scale;  // ties
    if (kind == 4) value = INFINITY;
    if (kind == 5) value = -INFINITY;
    if (kind == 6) value = value * 1e15f;
    if (kind == 7) value = -0.0f;
  }
  // One NaN anywhere has to be found, none in a gap.
  if (draw.one_in(8)) {
    x[static_cast<size_t>(draw.integer(0, reach - 1))] = std::numeric_limits<float>::quiet_NaN();
  }
  c.add_input(x);
  c.text = "quantize " + c.text + " scale " + std::to_string(p.scale);
  return c;
}

}  // namespace edgecv_test

#endif  // EDGECV_TESTS_CPP_KERNELS_CASES_ELEMENTWISE_H_
