// Every row of every family against its reference row; convolutions have more cases in
// conv_test.cpp.
#include "cases.h"
#include "check_rows.h"

using edgecv::kernels::Family;

namespace {

void check_all_families(int count, int f32_conv_count, bool threaded) {
  for (size_t i = 0; i < static_cast<size_t>(Family::kCount); ++i) {
    const Family family = static_cast<Family>(i);
    edgecv_test::RowChecker rows(family);
    edgecv_test::Draw draw(edgecv_test::state().seed + i);
    const bool f32_conv = edgecv_test::is_f32_conv(family);
    const int cases = edgecv_test::scaled_count(f32_conv ? f32_conv_count : count);
    for (int n = 0; n < cases; ++n) {
      rows.check(edgecv_test::draw_case(family, draw), draw, threaded);
    }
    // Rows for rare shapes may meet none of few cases.
    rows.finish(!threaded);
  }
}

}  // namespace

TEST(rows_equal_reference) { check_all_families(600, 100, false); }

// The same with the pieces of one run on several threads: rows share nothing but their operands.
TEST(rows_equal_reference_on_threads) { check_all_families(30, 30, true); }
