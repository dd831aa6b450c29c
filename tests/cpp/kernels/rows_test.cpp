// Every row of every family against its reference row; convolutions have more cases in
// conv_test.cpp.
#include "cases.h"
#include "check_rows.h"

using edgecv::kernels::Family;

namespace {

// Convolutions count for a quarter: conv_test.cpp has the more telling cases.
void check_all_families(int count, bool threaded) {
  for (size_t i = 0; i < static_cast<size_t>(Family::kCount); ++i) {
    const Family family = static_cast<Family>(i);
    edgecv_test::RowChecker rows(family);
    edgecv_test::Draw draw(edgecv_test::state().seed + i);
    const bool conv = family <= Family::kConvTransposeF32;
    const int cases = edgecv_test::scaled_count(conv ? count / 4 : count);
    for (int n = 0; n < cases; ++n) {
      rows.check(edgecv_test::draw_case(family, draw), draw, threaded);
    }
    // Rows for rare shapes may meet none of few cases.
    rows.finish(!threaded && !conv);
  }
}

}  // namespace

TEST(rows_equal_reference) { check_all_families(400, false); }

// The same with the pieces of one run on several threads: rows share nothing but their operands.
TEST(rows_equal_reference_on_threads) { check_all_families(40, true); }
