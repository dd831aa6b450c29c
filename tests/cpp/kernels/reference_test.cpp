// The reference kernels against the oracles of docs/ops.md. Integer results are equal; f32 results
// are within 1e-4 of the largest magnitude, which is what docs/ops.md promises. What is not output
// stays untouched.
#include "cases.h"
#include "check.h"
#include "check_rows.h"
#include "oracle_conv.h"
#include "oracle_elementwise.h"
#include "oracle_matrix.h"
#include "run_kernel.h"

namespace {

using edgecv::kernels::Family;
using edgecv_test::Case;
using edgecv_test::Draw;
using edgecv_test::Oracle;

Oracle oracle_of(const Case& c) {
  using namespace edgecv_test;
  switch (c.family) {
    case Family::kConvS8:
      return conv_s8_oracle(c, false);
    case Family::kConvF32:
      return conv_f32_oracle(c, false);
    case Family::kConvTransposeS8:
      return conv_s8_oracle(c, true);
    case Family::kConvTransposeF32:
      return conv_f32_oracle(c, true);
    case Family::kMatMulS8:
      return matmul_oracle<int8_t>(c);
    case Family::kMatMulF32:
      return matmul_oracle<float>(c);
    case Family::kBinaryS8:
      return binary_oracle<int8_t>(c);
    case Family::kBinaryF32:
      return binary_oracle<float>(c);
    case Family::kLookupS8:
      return lookup_oracle(c);
    case Family::kUnaryF32:
      return unary_oracle(c);
    case Family::kPReluS8:
      return prelu_oracle<int8_t>(c);
    case Family::kPReluF32:
      return prelu_oracle<float>(c);
    case Family::kQuantize:
      return quantize_oracle(c);
    case Family::kDequantize:
      return dequantize_oracle(c);
    case Family::kPoolS8:
      return pool_oracle<int8_t>(c);
    case Family::kPoolF32:
      return pool_oracle<float>(c);
    case Family::kReduceMeanS8:
      return mean_oracle<int8_t>(c);
    case Family::kReduceMeanF32:
      return mean_oracle<float>(c);
    case Family::kArgMaxS8:
      return argmax_oracle<int8_t>(c);
    case Family::kArgMaxF32:
      return argmax_oracle<float>(c);
    case Family::kSoftmaxS8:
      return softmax_s8_oracle(c);
    case Family::kSoftmaxF32:
      return softmax_f32_oracle(c);
    case Family::kLayerNormS8:
      return layer_norm_s8_oracle(c);
    case Family::kLayerNormF32:
      return layer_norm_f32_oracle(c);
    case Family::kResizeS8:
      return resize_oracle<int8_t>(c);
    case Family::kResizeF32:
      return resize_oracle<float>(c);
    case Family::kMove:
      return move_oracle(c);
    case Family::kCount:
      break;
  }
  return {};
}

double element_of(const Case& c, const std::vector<uint8_t>& out, int64_t element) {
  const uint8_t* at = out.data() + static_cast<size_t>(element) * c.out_element;
  if (c.out_element == 1) return static_cast<int8_t>(*at);
  if (c.out_is_float) {
    float value;
    std::memcpy(&value, at, sizeof(value));
    return value;
  }
  int32_t value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

bool check_case(const edgecv::kernels::Kernel& reference, const Case& c, Draw& draw) {
  WITH_CONTEXT(c.text);
  const edgecv_test::KernelResult got = edgecv_test::run_kernel(reference, c, 1, draw);
  if (!CHECK_EQ(got.error, std::string())) return false;
  const Oracle oracle = oracle_of(c);
  if (!CHECK_EQ(got.status, oracle.nan_found ? edgecv::kernels::kNanFound : 0)) return false;
  if (oracle.nan_found) return true;
  double largest = 0.0;
  for (const auto& expected : oracle.values) largest = std::max(largest, std::fabs(expected.value));
  const double tolerance = c.out_is_float ? 1e-4 * largest : 0.0;
  std::vector<uint8_t> rest(c.out_bytes);
  edgecv_test::fill_garbage(rest.data(), rest.size(), edgecv_test::kCanarySeed);
  for (const auto& expected : oracle.values) {
    const double value = element_of(c, got.out, expected.element);
    if (!(std::fabs(value - expected.value) <= tolerance)) {
      WITH_CONTEXT("element " + std::to_string(expected.element));
      return CHECK_NEAR(value, expected.value, tolerance);
    }
    const size_t at = static_cast<size_t>(expected.element) * c.out_element;
    std::copy_n(got.out.begin() + static_cast<int64_t>(at), c.out_element,
                rest.begin() + static_cast<int64_t>(at));
  }
  return CHECK_ARRAYS(got.out.data(), rest.data(), rest.size());
}

}  // namespace

TEST(reference_follows_ops_md) {
  for (size_t i = 0; i < edgecv::kernels::kernel_count(); ++i) {
    const edgecv::kernels::Kernel& kernel = edgecv::kernels::kernel_at(i);
    if (std::string(kernel.isa) != "reference") continue;
    Draw draw(edgecv_test::state().seed + 1000 + i);
    const int count = edgecv_test::scaled_count(120);
    int done = 0;
    while (done < count && check_case(kernel, edgecv_test::draw_case(kernel.family, draw), draw))
      ++done;
    std::printf("  %-40s %d cases\n", kernel.name, done);
  }
}

// One result that a reader can check by hand, for the families where a mistake shared by kernel and
// oracle is likeliest.
TEST(requantize_rounds_half_to_even) {
  const int8_t weights[] = {1};
  const int32_t bias[] = {0};
  const float multiplier[] = {0.5f};
  edgecv::kernels::ConvProblem p;
  std::memset(&p, 0, sizeof(p));
  p.batch = p.in_h = p.in_c = p.out_h = p.out_c = 1;
  p.in_w = p.out_w = 8;
  p.kernel_h = p.kernel_w = p.stride_h = p.stride_w = p.dilation_h = p.dilation_w = p.groups = 1;
  p.in_stride = p.out_stride = 1;
  p.weights = weights;
  p.bias = bias;
  p.multiplier = multiplier;
  p.in_zero_point = 10;
  p.out_zero_point = -3;
  p.lo = -5;
  p.hi = 127;
  // x - 10: -5, -4, -3, -1, 0, 1, 3, 5; halves: -2.5, -2, -1.5, -0.5, 0, 0.5, 1.5, 2.5.
  const int8_t x[] = {5, 6, 7, 9, 10, 11, 13, 15};
  const int8_t want[] = {-5, -5, -5, -3, -3, -3, -1, -1};
  int8_t y[8];
  const void* in[] = {x};
  const edgecv::kernels::Kernel* kernel = edgecv::kernels::choose_kernel(Family::kConvS8, &p, 0);
  kernel->run(&p, {in, y, nullptr}, 0, kernel->work_items(&p), nullptr);
  CHECK_ARRAYS(y, want, 8);
}
