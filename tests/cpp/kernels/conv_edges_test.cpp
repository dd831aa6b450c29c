// Convolutions whose results lie halfway between two integers or on both sides of what 16 bits
// hold, and weights of -128.
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

// Columns and depths that fill panels and that leave a rest; layers of one tap and of nine.
template <typename Function>
void for_each_shape(const Function& function) {
  for (const int32_t out_c : {8, 16, 24, 37}) {
    for (const int32_t in_c : {3, 8, 16, 24, 40}) {
      for (const int32_t kernel : {1, 3}) {
        ConvShape shape;
        shape.in_h = 5;
        shape.in_w = 7;
        shape.in_c = in_c;
        shape.out_c = out_c;
        shape.kernel_h = shape.kernel_w = kernel;
        function(shape);
      }
    }
  }
}

// The same with constants of its own.
void set_constants(Case* c, const std::vector<int8_t>& weights, float multiplier) {
  auto& p = *static_cast<ConvProblem*>(c->problem_storage.get());
  const auto columns = static_cast<size_t>(p.out_c);
  p.weights = c->add_constant(weights);
  p.bias = c->add_constant(std::vector<int32_t>(columns, 0));
  p.multiplier = c->add_constant(std::vector<float>(columns, multiplier));
  p.lo = -128;
  p.hi = 127;
}

size_t weight_count(const ConvShape& s) {
  return static_cast<size_t>(int64_t{s.out_c} * s.in_c / s.groups * s.kernel_h * s.kernel_w);
}

}  // namespace

// Half of all sums are odd; a zero point must not change which neighbour is the even one.
TEST(conv_s8_rounds_ties_to_even) {
  edgecv_test::RowChecker rows(Family::kConvS8);
  Draw draw(edgecv_test::state().seed);
  for (const int32_t zero_point : {-128, -127, -3, 0, 1, 126, 127}) {
    for_each_shape([&](const ConvShape& shape) {
      Case c = edgecv_test::make_conv_case(Family::kConvS8, shape, draw, WeightPattern::kNarrow,
                                           Pattern::kNarrow);
      std::vector<int8_t> weights(weight_count(shape));
      for (int8_t& w : weights) w = static_cast<int8_t>(draw.int32(-3, 3));
      set_constants(&c, weights, 0.5f);
      auto& p = *static_cast<ConvProblem*>(c.problem_storage.get());
      p.in_zero_point = 0;
      p.out_zero_point = zero_point;
      c.text += " ties zy " + std::to_string(zero_point);
      rows.check(c, draw);
    });
  }
  rows.finish(false);
}

// -128 * -128 twice is more than 16 bits hold.
TEST(conv_s8_weights_of_minus_128) {
  edgecv_test::RowChecker rows(Family::kConvS8);
  Draw draw(edgecv_test::state().seed);
  for (const Pattern pattern : {Pattern::kLowest, Pattern::kAlternating, Pattern::kRandom}) {
    for_each_shape([&](const ConvShape& shape) {
      Case c = edgecv_test::make_conv_case(Family::kConvS8, shape, draw, WeightPattern::kMinus127,
                                           pattern);
      set_constants(&c, std::vector<int8_t>(weight_count(shape), -128), 0x1p-15f);
      c.text += " w -128";
      rows.check(c, draw);
    });
  }
  rows.finish(false);
}

// Kernels that know all results to be small take an addition for rounding, which leaves 16 bits:
// what lies beyond must come out as the clamp's end, not its opposite.
TEST(conv_s8_results_around_2_to_15) {
  edgecv_test::RowChecker rows(Family::kConvS8);
  Draw draw(edgecv_test::state().seed);
  const auto check = [&](const ConvShape& shape) {
    const double depth = static_cast<double>(weight_count(shape)) / shape.out_c;
    for (const double most : {31990.0, 32760.0, 33000.0, 66000.0}) {
      for (const Pattern pattern : {Pattern::kLowest, Pattern::kHighest}) {
        for (const int8_t weight : {-127, 127}) {
          Case c = edgecv_test::make_conv_case(Family::kConvS8, shape, draw,
                                               WeightPattern::kMinus127, pattern);
          set_constants(&c, std::vector<int8_t>(weight_count(shape), weight),
                        static_cast<float>(most / (127.0 * 128.0 * depth)));
          auto& p = *static_cast<ConvProblem*>(c.problem_storage.get());
          p.in_zero_point = 0;
          p.out_zero_point = draw.pick({-128, -2, 0, 127});
          c.text += " w " + std::to_string(weight) + " most " + std::to_string(most);
          rows.check(c, draw);
        }
      }
    }
  };
  for (const int32_t channels : {8, 16, 24}) {
    ConvShape shape;
    shape.in_h = 3;
    shape.in_w = 6;
    shape.in_c = 8;
    shape.out_c = channels;
    shape.kernel_h = shape.kernel_w = 1;
    check(shape);
    shape.in_c = shape.groups = channels;
    shape.kernel_h = shape.kernel_w = 3;
    check(shape);
  }
  rows.finish(false);
}
