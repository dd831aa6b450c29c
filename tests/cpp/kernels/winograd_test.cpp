// Dense 3x3 stride 1 convolutions, the shapes that Winograd rows take: odd and even outputs, any
// padding, views with gaps, channels around the vector sizes, and the largest sums.
#include "cases.h"
#include "check.h"
#include "check_rows.h"

using edgecv::kernels::Family;
using edgecv_test::ConvShape;
using edgecv_test::Pattern;
using edgecv_test::WeightPattern;

namespace {

ConvShape draw_shape(edgecv_test::Draw& draw) {
  ConvShape s;
  s.kernel_h = s.kernel_w = 3;
  s.batch = draw.one_in(4) ? 2 : 1;
  s.in_h = draw.int32(1, 13);
  s.in_w = draw.int32(1, 17);
  s.in_c = draw.one_in(2) ? draw.int32(16, 70) : draw.pick({16, 32, 48, 64, 80, 128, 144});
  s.out_c = draw.one_in(2) ? draw.int32(16, 60) : draw.pick({16, 24, 32, 48, 64, 80});
  s.pad_top = draw.int32(0, 2);
  s.pad_left = draw.int32(0, 2);
  s.pad_bottom = draw.int32(0, 2);
  s.pad_right = draw.int32(0, 2);
  if (draw.one_in(3)) {
    s.in_gap = draw.int32(1, 40);
    s.out_gap = draw.int32(0, 40);
  }
  edgecv_test::repair_conv_shape(false, &s);
  return s;
}

}  // namespace

TEST(dense_3x3_rows_equal_reference) {
  edgecv_test::RowChecker rows(Family::kConvS8);
  edgecv_test::Draw draw(edgecv_test::state().seed);
  for (int n = 0; n < edgecv_test::scaled_count(200); ++n) {
    rows.check(edgecv_test::make_conv_case(Family::kConvS8, draw_shape(draw), draw), draw);
  }
  rows.finish(false);
}

TEST(dense_3x3_rows_equal_reference_on_threads) {
  edgecv_test::RowChecker rows(Family::kConvS8);
  edgecv_test::Draw draw(edgecv_test::state().seed + 1);
  for (int n = 0; n < edgecv_test::scaled_count(20); ++n) {
    const auto c = edgecv_test::make_conv_case(Family::kConvS8, draw_shape(draw), draw);
    rows.check(c, draw, true);
  }
  rows.finish(false);
}

// Sums near what the rows' bounds allow, and channel counts on both sides of them.
TEST(dense_3x3_rows_hold_the_largest_sums) {
  edgecv_test::RowChecker rows(Family::kConvS8);
  edgecv_test::Draw draw(edgecv_test::state().seed + 2);
  for (const int32_t channels : {512, 2048, 3600, 3601}) {
    for (const auto weights : {WeightPattern::kPlus127, WeightPattern::kMinus127,
                               WeightPattern::kAlternating, WeightPattern::kRandom}) {
      ConvShape s;
      s.kernel_h = s.kernel_w = 3;
      s.in_h = s.in_w = 4;
      s.in_c = channels;
      s.out_c = 17;
      for (const Pattern pattern : {Pattern::kLowest, Pattern::kHighest}) {
        rows.check(edgecv_test::make_conv_case(Family::kConvS8, s, draw, weights, pattern), draw);
      }
    }
  }
  rows.finish(false);
}
