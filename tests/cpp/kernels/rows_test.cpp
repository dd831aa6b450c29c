// Every row of every family against its reference row; convolutions have more cases in
// conv_test.cpp.
#include "cases.h"
#include "check_rows.h"

using edgecv::kernels::Family;

TEST(rows_equal_reference) {
  for (size_t i = 0; i < static_cast<size_t>(Family::kCount); ++i) {
    const Family family = static_cast<Family>(i);
    edgecv_test::RowChecker rows(family);
    edgecv_test::Draw draw(edgecv_test::state().seed + i);
    const int count = edgecv_test::scaled_count(edgecv_test::is_f32_conv(family) ? 100 : 600);
    for (int n = 0; n < count; ++n) rows.check(edgecv_test::draw_case(family, draw), draw);
    rows.finish();
  }
}
