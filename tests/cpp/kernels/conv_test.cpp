// Every convolution row against the reference row.
#include "cases_conv.h"
#include "cases_depthwise.h"
#include "check_rows.h"

namespace {

using edgecv::kernels::Family;
using edgecv_test::Draw;

void check_family(Family family, int random_cases) {
  edgecv_test::RowChecker rows(family);
  Draw draw(edgecv_test::state().seed);
  const bool transpose = edgecv_test::is_transpose(family);
  const std::vector<edgecv_test::ConvShape> sweep = edgecv_test::conv_sweep(transpose, draw);
  for (size_t i = 0; i < sweep.size(); i += rows.step()) {
    rows.check(edgecv_test::make_conv_case(family, sweep[i], draw), draw);
  }
  for (int i = 0; i < edgecv_test::scaled_count(random_cases); ++i) {
    const edgecv_test::ConvShape shape = edgecv_test::draw_conv_shape(transpose, draw);
    rows.check(edgecv_test::make_conv_case(family, shape, draw), draw);
  }
  // Few drawn layers keep the bounds of depthwise rows that add up in 16 bits.
  for (int i = 0; i < 16 && family == Family::kConvS8; ++i) {
    edgecv_test::ConvShape shape = edgecv_test::draw_depthwise_shape(draw);
    shape.in_c = shape.out_c = shape.groups = draw.int32(32, 100);
    shape.kernel_h = shape.kernel_w = i % 2 == 0 ? 3 : 5;
    edgecv_test::repair_conv_shape(false, &shape);
    rows.check(edgecv_test::make_conv_case(family, shape, draw, edgecv_test::WeightPattern::kNarrow,
                                           edgecv_test::draw_pattern(draw)),
               draw);
  }
  rows.finish();
}

}  // namespace

TEST(conv_s8_rows_equal_reference) { check_family(Family::kConvS8, 1500); }
TEST(depthwise_s8_rows_equal_reference) {
  edgecv_test::RowChecker rows(Family::kConvS8);
  Draw draw(edgecv_test::state().seed);
  for (int i = 0; i < edgecv_test::scaled_count(200); ++i) {
    const edgecv_test::ConvShape shape = edgecv_test::draw_depthwise_shape(draw);
    rows.check(i % 8 != 0 ? edgecv_test::make_conv_case(Family::kConvS8, shape, draw)
                          : edgecv_test::make_conv_case(Family::kConvS8, shape, draw,
                                                        edgecv_test::WeightPattern::kMinus128,
                                                        edgecv_test::draw_pattern(draw)),
               draw);
  }
  rows.finish(false);
}
TEST(conv_f32_rows_near_reference) { check_family(Family::kConvF32, 150); }
TEST(conv_transpose_s8_rows_equal_reference) { check_family(Family::kConvTransposeS8, 200); }
TEST(conv_transpose_f32_rows_near_reference) { check_family(Family::kConvTransposeF32, 100); }
