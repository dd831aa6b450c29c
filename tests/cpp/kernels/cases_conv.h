// Problems of the families conv_s8, conv_f32, conv_transpose_s8 and conv_transpose_f32.
#ifndef EDGECV_TESTS_CPP_KERNELS_CASES_CONV_H_
#define EDGECV_TESTS_CPP_KERNELS_CASES_CONV_H_

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "case.h"
#include "kernels/conv.h"

namespace edgecv_test {

struct ConvShape {
  int32_t batch = 1, in_h = 1, in_w = 1, in_c = 1, out_c = 1;
  int32_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int32_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  int32_t output_pad_h = 0, output_pad_w = 0;  // transposed only
  int32_t groups = 1;
  int32_t in_gap = 0, out_gap = 0;  // elements between the pixels' channels
};

inline bool is_transpose(edgecv::kernels::Family family) {
  return family == edgecv::kernels::Family::kConvTransposeS8 ||
         family == edgecv::kernels::Family::kConvTransposeF32;
}

inline bool is_f32_conv(edgecv::kernels::Family family) {
  return family == edgecv::kernels::Family::kConvF32 ||
         family == edgecv::kernels::Family::kConvTransposeF32;
}

// Output rows or columns by docs/ops.md; below 1 when the shape is not valid.
inline int32_t conv_out_size(bool transpose, int32_t in, int32_t kernel, int32_t stride,
                             int32_t dilation, int32_t pads, int32_t output_pad) {
  const int32_t reach = (kernel - 1) * dilation;
  if (transpose) return (in - 1) * stride - pads + reach + 1 + output_pad;
  return in + pads - reach - 1 < 0 ? 0 : (in + pads - reach - 1) / stride + 1;
}

// Weights that find overflow, saturation and sign mistakes. The "safe" ones keep the sums of
// same-sign weights of any 2, 4 or 8 neighbours at or below 128, the limit for adding u8 x s8
// products in 16 bits; the "over" ones break it by one, so that a kernel that relies on the limit
// has to notice. Lanes need not hold neighbours: x86 ones hold {k, k + 1, k + 4, k + 5}, so that
// "joined pairs" (64 64 64 64 0 0 0 0) keep their limit and "split pairs" (64 64 0 0 64 64 0 0)
// break it, though any four neighbours of these do not.
enum class WeightPattern {
  kRandom,
  kPlus127,
  kMinus127,
  kAlternating,
  kNarrow,
  kSafe64,
  kSafe32,
  kSafe16,
  kPlus32,
  kMinus32,
  kOver2,
  kOver4,
  kOver8,
  kSpikes,
  kSplitPairs,
  kJoinedPairs,
  kZero,
  kBlocks,    // of four along the inputs: a quarter of them is not zero
  kMinus128,  // which the converter never writes: drawn only where asked for
  kCount
};

inline const char* weight_pattern_name(WeightPattern pattern) {
  static const char* const kNames[] = {
      "random",      "plus127",      "minus127", "alternating", "narrow",  "safe64", "safe32",
      "safe16",      "plus32",       "minus32",  "over2",       "over4",   "over8",  "spikes",
      "split_pairs", "joined_pairs", "zero",     "blocks",      "minus128"};
  return kNames[static_cast<size_t>(pattern)];
}

// `period` counts the weights of one tap, where lane sets restart.
inline std::vector<int8_t> make_weights(Draw& draw, int64_t count, int32_t period,
                                        WeightPattern pattern) {
  std::vector<int8_t> weights(static_cast<size_t>(count));
  bool stays = false;
  const int64_t place = static_cast<int64_t>(draw.next() % static_cast<uint64_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const int64_t k = i % period;
    const auto sign = [&] { return draw.next() % 2 == 0 ? 1 : -1; };
    const auto within = [&](int32_t limit) {
      return static_cast<int32_t>(draw.next() % static_cast<uint64_t>(2 * limit + 1)) - limit;
    };
    int32_t w = 0;
    switch (pattern) {
      case WeightPattern::kRandom:
        w = within(127);
        break;
      case WeightPattern::kPlus127:
        w = 127;
        break;
      case WeightPattern::kMinus127:
        w = -127;
        break;
      case WeightPattern::kAlternating:
        w = k % 2 == 0 ? 127 : -127;
        break;
      case WeightPattern::kNarrow:
        w = within(3);
        break;
      case WeightPattern::kSafe64:
        w = 64 * sign();
        break;
      case WeightPattern::kSafe32:
        w = within(32);
        break;
      case WeightPattern::kBlocks:
        if (k % 4 == 0) stays = draw.next() % 4 == 0;
        w = stays ? within(32) : 0;
        break;
      case WeightPattern::kSafe16:
        w = within(16);
        break;
      case WeightPattern::kPlus32:
        w = 32;
        break;
      case WeightPattern::kMinus32:
        w = -32;
        break;
      case WeightPattern::kOver2:
        w = i == place ? 65 : 64;
        break;
      case WeightPattern::kOver4:
        w = i == place ? 33 : 32;
        break;
      case WeightPattern::kOver8:
        w = i == place ? -17 : -16;
        break;
      case WeightPattern::kSpikes:
        w = k % 16 == 5 ? 127 * sign() : 0;
        break;
      case WeightPattern::kSplitPairs:
        w = k % 4 < 2 ? 64 : 0;
        break;
      case WeightPattern::kJoinedPairs:
        w = k % 8 < 4 ? -64 : 0;
        break;
      case WeightPattern::kMinus128:
        w = -128;
        break;
      default:
        break;
    }
    weights[static_cast<size_t>(i)] = static_cast<int8_t>(w);
  }
  return weights;
}

// Bias and multiplier within the bounds of docs/ops.md for a channel whose |sum| of products is at
// most `reach`. `tame` ones are of the size that networks have: kernels may take another way when
// all channels of a layer are.
inline void draw_requantize(Draw& draw, int64_t reach, int64_t depth, bool tame, int32_t* bias,
                            float* m) {
  const int64_t room = std::max<int64_t>(0, (int64_t{1} << 31) - 1 - reach);
  const int64_t small = std::min<int64_t>(room, reach / 4 + 1);
  *bias = static_cast<int32_t>(draw.next() % static_cast<uint64_t>(2 * small + 1)) -
          static_cast<int32_t>(small);
  const uint64_t kind = draw.next() % 16;
  if (tame) *bias /= 64;
  if (kind == 0 && !tame) *bias = static_cast<int32_t>(room);
  if (kind == 1 && !tame) *bias = static_cast<int32_t>(-room);
  if (kind == 2) *bias = 0;
  const double bound = static_cast<double>(reach) + std::abs(static_cast<double>(*bias)) + 1.0;
  double value = 127.0 / (static_cast<double>(reach) + 1.0) *
                 std::sqrt(static_cast<double>(depth)) * draw.real(0.5f, 4.0f);
  const uint64_t m_kind = draw.next() % 8;
  // Powers of two make exact ties.
  if (m_kind < 2) value = std::exp2(std::floor(std::log2(value)));
  if (m_kind == 2) value = 0x1p-100;
  if (m_kind == 3 && !tame) value = 0x1p20;
  value = std::min(value, 2147480000.0 / bound);
  *m = static_cast<float>(std::min(std::max(value, 0x1p-100), 0x1p20));
}

inline std::string conv_text(edgecv::kernels::Family family, const ConvShape& s) {
  const auto pair = [](const char* name, int32_t a, int32_t b) {
    return std::string(" ") + name + std::to_string(a) + "x" + std::to_string(b);
  };
  std::string text = is_transpose(family) ? "conv_transpose" : "conv";
  text += is_f32_conv(family) ? "_f32" : "_s8";
  text += " " + std::to_string(s.batch) + "x" + std::to_string(s.in_h) + "x" +
          std::to_string(s.in_w) + "x" + std::to_string(s.in_c) + "->" + std::to_string(s.out_c);
  text += pair("k", s.kernel_h, s.kernel_w) + pair("s", s.stride_h, s.stride_w);
  if (s.dilation_h != 1 || s.dilation_w != 1) text += pair("d", s.dilation_h, s.dilation_w);
  text += " p" + std::to_string(s.pad_top) + "," + std::to_string(s.pad_left) + "," +
          std::to_string(s.pad_bottom) + "," + std::to_string(s.pad_right);
  if (s.groups != 1) text += " g" + std::to_string(s.groups);
  if (s.in_gap != 0 || s.out_gap != 0) {
    text += " gaps " + std::to_string(s.in_gap) + "," + std::to_string(s.out_gap);
  }
  return text;
}

inline edgecv::kernels::ConvProblem conv_problem(edgecv::kernels::Family family,
                                                 const ConvShape& s) {
  const bool transpose = is_transpose(family);
  edgecv::kernels::ConvProblem p;
  std::memset(&p, 0, sizeof(p));
  p.batch = s.batch;
  p.in_h = s.in_h;
  p.in_w = s.in_w;
  p.in_c = s.in_c;
  p.out_h = conv_out_size(transpose, s.in_h, s.kernel_h, s.stride_h, s.dilation_h,
                          s.pad_top + s.pad_bottom, s.output_pad_h);
  p.out_w = conv_out_size(transpose, s.in_w, s.kernel_w, s.stride_w, s.dilation_w,
                          s.pad_left + s.pad_right, s.output_pad_w);
  p.out_c = s.out_c;
  p.kernel_h = s.kernel_h;
  p.kernel_w = s.kernel_w;
  p.stride_h = s.stride_h;
  p.stride_w = s.stride_w;
  p.dilation_h = s.dilation_h;
  p.dilation_w = s.dilation_w;
  p.pad_top = s.pad_top;
  p.pad_left = s.pad_left;
  p.groups = s.groups;
  p.in_stride = s.in_c + s.in_gap;
  p.out_stride = s.out_c + s.out_gap;
  p.in_lo = -128;
  p.in_hi = 127;
  return p;
}

// With `narrow`, the input is known to stay within bounds that may be far from those of s8.
inline Case make_conv_case(edgecv::kernels::Family family, const ConvShape& shape, Draw& draw,
                           WeightPattern weight_pattern, Pattern pattern, bool narrow = false) {
  Case c;
  c.family = family;
  auto& p = c.make_problem<edgecv::kernels::ConvProblem>();
  p = conv_problem(family, shape);
  c.text = conv_text(family, shape);
  const int64_t group_in = p.in_c / p.groups;
  const int64_t depth = group_in * p.kernel_h * p.kernel_w;
  const int64_t in_pixels = static_cast<int64_t>(p.batch) * p.in_h * p.in_w;
  const int64_t out_pixels = static_cast<int64_t>(p.batch) * p.out_h * p.out_w;
  const int64_t in_count = (in_pixels - 1) * p.in_stride + p.in_c;
  c.operations =
      (is_transpose(family) ? in_pixels * p.in_c * p.out_c / p.groups * p.kernel_h * p.kernel_w
                            : out_pixels * p.out_c * depth);
  if (is_f32_conv(family)) {
    p.weights = c.add_constant(make_f32(draw, p.out_c * depth, -1.0f, 1.0f));
    if (!draw.one_in(4)) p.bias = c.add_constant(make_f32(draw, p.out_c, -2.0f, 2.0f));
    p.lo_f = draw.one_in(3) ? 0.0f : -INFINITY;
    p.hi_f = draw.one_in(3) ? 6.0f : INFINITY;
    c.add_input(make_f32(draw, in_count, -2.0f, 2.0f));
    c.set_output<float>(out_pixels, p.out_c, p.out_stride);
    return c;
  }
  p.in_zero_point = draw_zero_point(draw);
  p.out_zero_point = draw_zero_point(draw);
  draw_range(draw, p.out_zero_point, &p.lo, &p.hi);
  const std::vector<int8_t> weights =
      make_weights(draw, p.out_c * depth, static_cast<int32_t>(group_in), weight_pattern);
  std::vector<int32_t> bias(static_cast<size_t>(p.out_c));
  std::vector<float> multiplier(bias.size());
  const bool tame = draw.one_in(2);
  for (size_t o = 0; o < bias.size(); ++o) {
    int64_t sum = 0;
    for (int64_t k = 0; k < depth; ++k) {
      sum += std::abs(
          static_cast<int>(weights[o * static_cast<size_t>(depth) + static_cast<size_t>(k)]));
    }
    draw_requantize(draw, sum * std::max(127 - p.in_zero_point, p.in_zero_point + 128), depth, tame,
                    &bias[o], &multiplier[o]);
  }
  p.weights = c.add_constant(weights);
  p.bias = c.add_constant(bias);
  p.multiplier = c.add_constant(multiplier);
  std::vector<int8_t> input = make_s8(draw, in_count, pattern, p.in_zero_point);
  if (narrow) {
    const int32_t range = draw.pick({15, 63, 127, 128, draw.int32(0, 255)});
    p.in_lo = std::max(-128, p.in_zero_point - draw.int32(0, range));
    p.in_hi = std::max(p.in_zero_point, std::min(127, p.in_lo + range));
    for (int8_t& value : input) {
      value = static_cast<int8_t>(std::min(std::max<int32_t>(value, p.in_lo), p.in_hi));
    }
    c.text += " in " + std::to_string(p.in_lo) + ".." + std::to_string(p.in_hi);
  }
  c.add_input(input);
  c.set_output<int8_t>(out_pixels, p.out_c, p.out_stride);
  c.text += std::string(" w ") + weight_pattern_name(weight_pattern) + " x " +
            pattern_name(pattern) + " zx " + std::to_string(p.in_zero_point);
  return c;
}

inline Case make_conv_case(edgecv::kernels::Family family, const ConvShape& shape, Draw& draw) {
  const auto weights = static_cast<WeightPattern>(
      draw.one_in(3) ? 0 : draw.integer(0, static_cast<int64_t>(WeightPattern::kCount) - 2));
  const Pattern pattern = draw_pattern(draw);
  return make_conv_case(family, shape, draw, weights, pattern, draw.one_in(3));
}

// Makes any drawn shape valid: an image at least as large as the kernel, an output of at least one
// pixel.
inline void repair_conv_shape(bool transpose, ConvShape* s) {
  if (!transpose) {
    const int32_t reach_h = (s->kernel_h - 1) * s->dilation_h + 1;
    const int32_t reach_w = (s->kernel_w - 1) * s->dilation_w + 1;
    s->in_h = std::max(s->in_h, reach_h - s->pad_top - s->pad_bottom);
    s->in_w = std::max(s->in_w, reach_w - s->pad_left - s->pad_right);
    s->output_pad_h = 0;
    s->output_pad_w = 0;
    return;
  }
  if (conv_out_size(true, s->in_h, s->kernel_h, s->stride_h, s->dilation_h,
                    s->pad_top + s->pad_bottom, s->output_pad_h) < 1) {
    s->pad_top = s->pad_bottom = 0;
  }
  if (conv_out_size(true, s->in_w, s->kernel_w, s->stride_w, s->dilation_w,
                    s->pad_left + s->pad_right, s->output_pad_w) < 1) {
    s->pad_left = s->pad_right = 0;
  }
}

inline ConvShape draw_conv_shape(bool transpose, Draw& draw) {
  ConvShape s;
  const int32_t kind = draw.int32(0, 5);
  const auto channels = [&draw] {
    const int32_t near = draw.pick({8, 16, 32, 48, 64, 96}) + draw.int32(-1, 1);
    return draw.one_in(3) ? near : draw.int32(1, 40);
  };
  s.batch = draw.one_in(4) ? draw.int32(2, 3) : 1;
  s.in_h = draw.int32(1, 12);
  s.in_w = draw.int32(1, 20);
  s.in_c = channels();
  s.out_c = channels();
  if (kind != 0) {  // 0: pointwise
    s.kernel_h = draw.pick({3, 3, 5, 7, 1, 2});
    s.kernel_w = draw.pick({s.kernel_h, s.kernel_h, s.kernel_h, 1, 3, 4});
    s.dilation_h = draw.one_in(5) ? draw.int32(2, 3) : 1;
    s.dilation_w = draw.one_in(5) ? draw.int32(2, 3) : 1;
    s.pad_top = draw.int32(0, (s.kernel_h - 1) * s.dilation_h / 2 + 1);
    s.pad_left = draw.int32(0, (s.kernel_w - 1) * s.dilation_w / 2 + 1);
    s.pad_bottom = draw.int32(0, (s.kernel_h - 1) * s.dilation_h / 2 + 1);
    s.pad_right = draw.int32(0, (s.kernel_w - 1) * s.dilation_w / 2 + 1);
  }
  s.stride_h = draw.one_in(2) ? 1 : draw.int32(1, 3);
  s.stride_w = draw.one_in(5) ? draw.int32(1, 3) : s.stride_h;
  if (transpose) {
    s.output_pad_h = draw.int32(0, s.stride_h - 1);
    s.output_pad_w = draw.int32(0, s.stride_w - 1);
  }
  if (kind == 1 || kind == 2) {  // depthwise
    s.groups = s.in_c;
    s.out_c = s.in_c;
  } else if (kind == 3) {  // depth multiplier, or groups
    s.groups = draw.one_in(2) ? std::min(s.in_c, 24) : draw.int32(2, 5);
    s.in_c = s.groups * (draw.one_in(2) ? 1 : draw.int32(1, 9));
    s.out_c = s.groups * draw.int32(1, 4);
  } else if (kind == 4 && draw.one_in(3)) {
    s.kernel_h = s.kernel_w = 3;
    s.stride_h = s.stride_w = s.dilation_h = s.dilation_w = 1;
    s.output_pad_h = s.output_pad_w = 0;
    s.in_c = 8 * draw.int32(1, 9);
    s.out_c = 8 * draw.int32(1, 9);
  } else if (s.kernel_h * s.kernel_w > 9) {
    s.in_c = (s.in_c + 2) / 3;
    s.out_c = (s.out_c + 2) / 3;
  }
  if (draw.one_in(3)) {
    s.in_gap = draw.int32(1, 40);
    s.out_gap = draw.int32(0, 40);
  }
  repair_conv_shape(transpose, &s);
  return s;
}

// Shapes that meet every tail: channel counts 1..40 and around the powers of two, for each kind of
// layer.
inline std::vector<ConvShape> conv_sweep(bool transpose, Draw& draw) {
  std::vector<int32_t> counts;
  for (int32_t c = 1; c <= 40; ++c) counts.push_back(c);
  for (int32_t c : {47, 48, 49, 63, 64, 65, 96, 127, 128, 129}) counts.push_back(c);
  std::vector<ConvShape> shapes;
  const auto add = [&](ConvShape s) {
    s.in_h = draw.int32(1, 7);
    s.in_w = draw.int32(1, 13);
    if (draw.one_in(4)) {
      s.in_gap = draw.int32(0, 33);
      s.out_gap = draw.int32(1, 33);
    }
    repair_conv_shape(transpose, &s);
    shapes.push_back(s);
  };
  for (int32_t count : counts) {
    ConvShape pointwise;
    pointwise.in_c = count;
    pointwise.out_c = draw.int32(1, 40);
    add(pointwise);
    pointwise.in_c = draw.int32(1, 70);
    pointwise.out_c = count;
    add(pointwise);
    ConvShape dense;
    dense.kernel_h = dense.kernel_w = 3;
    dense.pad_top = dense.pad_left = dense.pad_bottom = dense.pad_right = draw.int32(0, 1);
    dense.stride_h = dense.stride_w = draw.int32(1, 2);
    dense.in_c = count;
    dense.out_c = draw.int32(1, 20);
    add(dense);
    dense.in_c = draw.pick({1, 3, 4, 16});
    dense.out_c = count;
    add(dense);
    for (int32_t kernel : {3, 5, 7}) {
      for (int32_t stride : {1, 2}) {
        ConvShape depthwise;
        depthwise.in_c = depthwise.out_c = depthwise.groups = count;
        depthwise.kernel_h = depthwise.kernel_w = kernel;
        depthwise.stride_h = depthwise.stride_w = stride;
        depthwise.pad_top = depthwise.pad_bottom = draw.int32(0, kernel / 2);
        depthwise.pad_left = depthwise.pad_right = draw.int32(0, kernel / 2);
        add(depthwise);
      }
    }
    if (count % 8 == 0) {  // the form of 3x3 layers that have many rows to choose from
      ConvShape square = dense;
      square.stride_h = square.stride_w = 1;
      square.in_c = count;
      square.out_c = 8 * draw.int32(1, 9);
      add(square);
      square.in_h = draw.int32(8, 20);
      square.in_w = draw.int32(8, 20);
      square.batch = draw.int32(1, 2);
      repair_conv_shape(transpose, &square);
      shapes.push_back(square);
    }
    ConvShape connected;  // fully connected: rows lie along the width
    connected.in_c = draw.pick({count, 1280, 320, 257});
    connected.out_c = count;
    connected.in_w = draw.int32(1, 5);
    repair_conv_shape(transpose, &connected);
    shapes.push_back(connected);
  }
  // Deep products of many columns: pointwise, strided, and rows of taps. Often, as few of the
  // weights drawn for them leave a form to the pairs.
  for (int32_t i = 0; i < 56; ++i) {
    const int32_t count = draw.pick({127, 129, 130, 131, 134, 193, 257});
    ConvShape deep;
    deep.in_c = count;
    deep.out_c = draw.int32(60, 100);
    add(deep);
    deep.stride_h = deep.stride_w = 2;
    add(deep);
    deep.kernel_w = draw.int32(2, 3);
    deep.in_c = (count + 2) / deep.kernel_w;
    deep.pad_left = draw.int32(0, 1);
    deep.groups = 1;
    add(deep);
  }
  return shapes;
}

}  // namespace edgecv_test

#endif  // EDGECV_TESTS_CPP_KERNELS_CASES_CONV_H_
