// The VNNI rows' code with an emulated instruction (emulated/dot4_conv.cpp) against the reference
// row.
#include <string>

#include "cases_conv.h"
#include "check.h"
#include "check_rows.h"

#if defined(EDGECV_TEST_DOT4)
namespace edgecv::kernels::emulated_dot4 {
extern const Kernel conv_s8_3x32;
}

namespace {

using edgecv::kernels::Family;
using edgecv::kernels::Kernel;
using edgecv_test::Case;
using edgecv_test::Draw;

const Kernel& reference_row() {
  const Kernel* last = nullptr;
  for (size_t i = 0; i < edgecv::kernels::kernel_count(); ++i) {
    const Kernel& kernel = edgecv::kernels::kernel_at(i);
    if (kernel.family == Family::kConvS8) last = &kernel;
  }
  return *last;
}

void check_case(const Case& c, Draw& draw) {
  const auto want = edgecv_test::run_kernel(reference_row(), c, 1, draw);
  const int64_t pieces = draw.one_in(2) ? 1 : draw.integer(2, 6);
  const auto got =
      edgecv_test::run_kernel(edgecv::kernels::emulated_dot4::conv_s8_3x32, c, pieces, draw);
  const std::string error = edgecv_test::compare_outputs(c, got, want, false);
  if (!error.empty()) edgecv_test::report_failure(__FILE__, __LINE__, c.text + ": " + error);
}

}  // namespace
#endif

TEST(emulated_dot4_equals_reference) {
#if defined(EDGECV_TEST_DOT4)
  if ((edgecv::kernels::detect_isa_bits() & edgecv::kernels::kIsaAvx2) == 0) SKIP("needs AVX2");
  Draw draw(edgecv_test::state().seed);
  int cases = 0;
  for (const edgecv_test::ConvShape& shape : edgecv_test::conv_sweep(false, draw)) {
    check_case(edgecv_test::make_conv_case(Family::kConvS8, shape, draw), draw);
    ++cases;
  }
  for (int i = 0; i < edgecv_test::scaled_count(600); ++i) {
    const edgecv_test::ConvShape shape = edgecv_test::draw_conv_shape(false, draw);
    check_case(edgecv_test::make_conv_case(Family::kConvS8, shape, draw), draw);
    ++cases;
  }
  std::printf("  %d cases\n", cases);
  CHECK(cases > 0);
#else
  SKIP("needs an x86-64 build");
#endif
}
