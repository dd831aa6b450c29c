// Depthwise rows that add up taps in 16 bits, at the bounds of simd/dwconv_bytes.h: taken where the
// weights keep them, refused one step beyond, and equal to the reference for the inputs that reach
// them.
#include <string>

#include "cases_conv.h"
#include "check_rows.h"

namespace {

using edgecv::kernels::ConvProblem;
using edgecv::kernels::Family;
using edgecv_test::Case;
using edgecv_test::ConvShape;
using edgecv_test::Draw;
using edgecv_test::Pattern;
using edgecv_test::WeightPattern;

constexpr int32_t kChannels = 40;  // not a multiple of any unit

ConvShape shape_of(int32_t size, int32_t stride) {
  ConvShape s;
  s.in_h = 6;
  s.in_w = 19;
  s.in_c = s.out_c = s.groups = kChannels;
  s.kernel_h = s.kernel_w = size;
  s.stride_h = s.stride_w = stride;
  s.pad_top = s.pad_left = s.pad_bottom = s.pad_right = size / 2;
  return s;
}

// All channels but one have narrow weights; that one has `taps`, times `sign`. The input is at the
// end of [lo, lo + range] that makes its sums largest: high where weights are positive.
Case make_case(const ConvShape& shape, Draw& draw, const std::vector<int8_t>& taps, int32_t channel,
               int32_t sign, int32_t range, int32_t lo, bool high) {
  Case c = edgecv_test::make_conv_case(Family::kConvS8, shape, draw, WeightPattern::kNarrow,
                                       Pattern::kZeroPoint);
  auto& p = *static_cast<ConvProblem*>(c.problem_storage.get());
  std::vector<int8_t> weights(taps.size() * kChannels);
  for (int8_t& w : weights) w = static_cast<int8_t>(draw.int32(-2, 2));
  for (size_t i = 0; i < taps.size(); ++i) {
    weights[static_cast<size_t>(channel) * taps.size() + i] = static_cast<int8_t>(sign * taps[i]);
  }
  p.weights = c.add_constant(weights);
  p.bias = c.add_constant(std::vector<int32_t>(kChannels, draw.int32(-70000, 70000)));
  p.multiplier = c.add_constant(std::vector<float>(kChannels, 0x1p-9f));
  p.in_lo = lo;
  p.in_hi = lo + range;
  p.in_zero_point = draw.pick({p.in_lo, p.in_hi, draw.int32(p.in_lo, p.in_hi)});
  p.out_zero_point = 0;
  p.lo = -128;
  p.hi = 127;
  for (uint8_t& x : c.inputs[0]) x = static_cast<uint8_t>(high ? p.in_hi : p.in_lo);
  // Columns of the other end: sums in which only some taps meet their largest value.
  for (size_t i = 0; i < c.inputs[0].size(); ++i) {
    if (i / kChannels % 5 == 4) c.inputs[0][i] = static_cast<uint8_t>(high ? p.in_lo : p.in_hi);
  }
  c.text += " channel " + std::to_string(channel) + " sign " + std::to_string(sign) + " range " +
            std::to_string(range);
  return c;
}

// Whether a row for bounded weights that runs here takes the case; fails where two such rows
// disagree.
int taken(const Case& c) {
  const uint32_t isa = edgecv::kernels::detect_isa_bits();
  int yes = 0, no = 0;
  for (size_t i = 0; i < edgecv::kernels::kernel_count(); ++i) {
    const edgecv::kernels::Kernel& kernel = edgecv::kernels::kernel_at(i);
    if ((kernel.needs & ~isa) != 0 || std::string(kernel.name).find("_safe__") == std::string::npos)
      continue;
    const std::string size = std::to_string(c.as<ConvProblem>().kernel_h);
    if (std::string(kernel.name).find("_" + size + "x" + size + "_") == std::string::npos) continue;
    ++(kernel.supports(c.problem()) ? yes : no);
  }
  CHECK(yes == 0 || no == 0);
  return yes > 0 ? 1 : no > 0 ? 0 : -1;
}

// Taps whose magnitudes sum up to `total`, spread so that no pair exceeds its bound.
std::vector<int8_t> spread(int32_t size, int32_t total, bool alternate) {
  std::vector<int8_t> taps(static_cast<size_t>(size * size));
  const auto count = static_cast<int32_t>(taps.size());
  for (int32_t i = 0; i < count; ++i) {
    const int32_t w = total / count + (i < total % count ? 1 : 0);
    taps[static_cast<size_t>(i)] = static_cast<int8_t>(alternate && i % 2 != 0 ? -w : w);
  }
  return taps;
}

struct Bounds {
  int32_t range, lo;
};
// 128 * 512 is the first sum that u16 does not hold.
const Bounds kBounds[] = {{255, -128}, {200, -90}, {127, 0}, {128, -64}};

template <typename Function>
void for_each_setting(const Function& function) {
  for (const int32_t size : {3, 5}) {
    for (const int32_t stride : {1, 2}) {
      for (const Bounds& b : kBounds) {
        for (const int32_t channel : {0, 9, 31, 39}) {
          for (const int32_t sign : {1, -1}) {
            for (const bool high : {true, false}) {
              function(shape_of(size, stride), b, channel, sign, high);
            }
          }
        }
      }
    }
  }
}

}  // namespace

TEST(depthwise_sums_at_and_beyond_16_bits) {
  edgecv_test::RowChecker rows(Family::kConvS8);
  Draw draw(edgecv_test::state().seed);
  for_each_setting(
      [&](const ConvShape& shape, const Bounds& b, int32_t channel, int32_t sign, bool high) {
        for (const bool alternate : {false, true}) {
          for (const int32_t more : {0, 1}) {
            const auto taps = spread(shape.kernel_h, 65535 / b.range + more, alternate);
            const Case c = make_case(shape, draw, taps, channel, sign, b.range, b.lo, high);
            const int found = taken(c);
            CHECK(found < 0 || found == 1 - more);
            rows.check(c, draw);
          }
        }
      });
  rows.finish(false);
}

TEST(depthwise_pairs_at_and_beyond_16_bits) {
  edgecv_test::RowChecker rows(Family::kConvS8);
  Draw draw(edgecv_test::state().seed);
  for_each_setting(
      [&](const ConvShape& shape, const Bounds& b, int32_t channel, int32_t sign, bool high) {
        const int32_t size = shape.kernel_h, last = size - 1, middle = size / 2;
        const int32_t bound = 32767 / b.range;
        // Both taps of a pair: rows of equal distance from the middle one, and columns of it.
        const int32_t pairs[][2] = {
            {0, last * size},
            {size - 1, size * size - 1},
            {middle, last * size + middle},
            {middle * size, middle * size + (size == 3 ? 2 : 1)},
            {middle * size + (size == 3 ? 0 : 3), middle * size + (size == 3 ? 2 : 4)}};
        for (const auto& pair : pairs) {
          for (const int32_t more : {0, 1}) {
            std::vector<int8_t> taps(static_cast<size_t>(size * size));
            const int32_t first = bound > 127 ? bound / 2 : bound - 20;
            if (bound + more - first > 127) continue;
            taps[static_cast<size_t>(pair[0])] = static_cast<int8_t>(first);
            taps[static_cast<size_t>(pair[1])] = static_cast<int8_t>(bound + more - first);
            const Case c = make_case(shape, draw, taps, channel, sign, b.range, b.lo, high);
            const int found = taken(c);
            // Of negative weights a maddubs holds one more: -32768.
            const bool fits = b.range * (bound + more) <= (sign < 0 ? 32768 : 32767);
            CHECK(found < 0 || found == (fits ? 1 : 0));
            rows.check(c, draw);
          }
          // Taps of different signs add up to less.
          std::vector<int8_t> taps(static_cast<size_t>(size * size));
          taps[static_cast<size_t>(pair[0])] = static_cast<int8_t>(bound > 127 ? 127 : bound);
          taps[static_cast<size_t>(pair[1])] = static_cast<int8_t>(bound > 127 ? -127 : -bound);
          const Case c = make_case(shape, draw, taps, channel, sign, b.range, b.lo, high);
          CHECK(taken(c) != 0);
          rows.check(c, draw);
        }
      });
  rows.finish(false);
}

// The f32 of a sum is exact only as long as what it is too large by is.
TEST(depthwise_sums_of_large_biases) {
  edgecv_test::RowChecker rows(Family::kConvS8);
  Draw draw(edgecv_test::state().seed);
  for (const int32_t size : {3, 5}) {
    for (const int64_t bias : {int64_t{-8388608 + 400}, int64_t{-8388607}, int64_t{25165824},
                               int64_t{25165825 + 500}, int64_t{1} << 30, -(int64_t{1} << 30)}) {
      Case c = edgecv_test::make_conv_case(Family::kConvS8, shape_of(size, 1), draw,
                                           WeightPattern::kNarrow, Pattern::kRandom);
      auto& p = *static_cast<ConvProblem*>(c.problem_storage.get());
      std::vector<int32_t> biases(kChannels, 100);
      for (size_t i = 0; i < biases.size(); i += 3) {
        biases[i] = static_cast<int32_t>(bias + draw.int32(-9, 9));
      }
      p.bias = c.add_constant(biases);
      p.multiplier = c.add_constant(
          std::vector<float>(kChannels, 100.0f / static_cast<float>(bias < 0 ? -bias : bias)));
      p.lo = -128;
      p.hi = 127;
      rows.check(c, draw);
      if (bias == int64_t{1} << 30 || bias == -(int64_t{1} << 30)) CHECK(taken(c) <= 0);
    }
  }
  rows.finish(false);
}

// Sums near a tie that one step more or less in what the f32 is too large by would move across it.
TEST(depthwise_sums_of_biases_that_f32_rounds) {
  struct Edge {
    int32_t x, bias;
    float multiplier;
  };
  const Edge edges[] = {
      {253, 96 * (1 << 18) + (1 << 17) + 2 - 253, 0x1p-18f},  // 96.5 and a bit: 97
      {255, -(64 * (1 << 17) + (1 << 16)) - 255, 0x1p-17f},   // -64.5: -64
  };
  edgecv_test::RowChecker rows(Family::kConvS8);
  Draw draw(edgecv_test::state().seed);
  for (const int32_t size : {3, 5}) {
    for (const Edge& edge : edges) {
      Case c = edgecv_test::make_conv_case(Family::kConvS8, shape_of(size, 1), draw,
                                           WeightPattern::kNarrow, Pattern::kRandom);
      auto& p = *static_cast<ConvProblem*>(c.problem_storage.get());
      const auto taps = static_cast<size_t>(size * size);
      std::vector<int8_t> weights(taps * kChannels);
      for (size_t i = taps / 2; i < weights.size(); i += taps) weights[i] = 1;
      p.weights = c.add_constant(weights);
      p.bias = c.add_constant(std::vector<int32_t>(kChannels, edge.bias));
      p.multiplier = c.add_constant(std::vector<float>(kChannels, edge.multiplier));
      p.in_zero_point = p.in_lo = p.lo = -128;
      p.in_hi = p.hi = 127;
      p.out_zero_point = 0;
      for (uint8_t& x : c.inputs[0]) x = static_cast<uint8_t>(edge.x - 128);
      rows.check(c, draw);
      CHECK(taken(c) <= 0);
    }
  }
  rows.finish(false);
}
