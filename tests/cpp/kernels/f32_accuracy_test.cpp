// How far f32 rows are from the exact result: functions in units of the last place, convolutions
// relative to the largest output. docs/ops.md promises 1e-4; these are what rows reach.
#include <cmath>
#include <limits>

#include "cases_conv.h"
#include "check.h"
#include "check_rows.h"
#include "kernels/elementwise.h"
#include "oracle_conv.h"
#include "oracle_elementwise.h"

namespace {

using edgecv::kernels::Family;
using edgecv::kernels::Kernel;

template <typename Take>
void for_rows(Family family, Take take) {
  const uint32_t isa = edgecv::kernels::detect_isa_bits();
  for (size_t i = 0; i < edgecv::kernels::kernel_count(); ++i) {
    const Kernel& kernel = edgecv::kernels::kernel_at(i);
    if (kernel.family == family && (kernel.needs & ~isa) == 0) take(kernel);
  }
}

// Distance of floats around `exact`.
double ulp(double exact) {
  const auto near = static_cast<float>(std::fabs(exact));
  return std::max(static_cast<double>(std::nextafter(near, INFINITY)) - static_cast<double>(near),
                  0x1p-149);
}

struct Function {
  int32_t code;
  const char* name;
  float lo, hi;     // where inputs come from
  double most_ulp;  // of the exact result ...
  double floor;     // ... or of this, where the result is smaller
};

}  // namespace

TEST(unary_functions_in_ulp) {
  constexpr double kSmall = 0x1p-126;
  const Function functions[] = {
      {4, "sigmoid", -80.0f, 80.0f, 4, kSmall},   {7, "silu", -80.0f, 80.0f, 4, kSmall},
      {8, "tanh", -20.0f, 20.0f, 6, kSmall},      {9, "gelu", -8.0f, 8.0f, 40, 0.25},
      {10, "gelu_tanh", -8.0f, 8.0f, 40, 0.25},   {11, "erf", -6.0f, 6.0f, 8, kSmall},
      {12, "exp", -87.0f, 88.7f, 2, kSmall},      {13, "log", 1e-38f, 1e38f, 3, 0.5},
      {14, "sqrt", 0.0f, 1e38f, 0.5, kSmall},     {17, "reciprocal", 1e-30f, 1e30f, 0.5, kSmall},
      {18, "elu", -80.0f, 80.0f, 4, kSmall},      {19, "softplus", -80.0f, 80.0f, 4, kSmall},
      {6, "hard_swish", -10.0f, 10.0f, 4, 0.125},
  };
  edgecv_test::Draw draw(edgecv_test::state().seed);
  for (const Function& f : functions) {
    // Evenly, by magnitude down to 1e-30, and the ends.
    std::vector<float> x = {f.lo, f.hi, std::max(f.lo, 0.0f)};
    for (int i = 0; i < edgecv_test::scaled_count(100000); ++i) {
      x.push_back(draw.real(f.lo, f.hi));
      const float size = std::exp(draw.real(-69.0f, std::log(f.hi)));
      x.push_back(f.lo < 0 && draw.one_in(2) ? std::max(-size, f.lo) : std::max(size, f.lo));
    }
    if (f.code == 13 || f.code == 17) {
      for (float& v : x) v = std::max(v, f.lo);
    }
    edgecv::kernels::UnaryProblem p;
    std::memset(&p, 0, sizeof(p));
    p.runs = 1;
    p.count = p.in_stride = p.out_stride = static_cast<int64_t>(x.size());
    p.function = f.code;
    p.alpha = 1.0f;
    for_rows(Family::kUnaryF32, [&](const Kernel& kernel) {
      WITH_CONTEXT(std::string(kernel.name) + " " + f.name);
      std::vector<float> y(x.size());
      const void* in[] = {x.data()};
      kernel.run(&p, {in, y.data(), nullptr}, 0, kernel.work_items(&p), nullptr);
      double worst = 0.0;
      float where = 0.0f;
      for (size_t i = 0; i < x.size(); ++i) {
        double exact = edgecv_test::unary_exactly(f.code, x[i], 1.0, 0.0);
        if (f.code == 18 && x[i] < 0) exact = std::expm1(static_cast<double>(x[i]));
        if (f.code == 19) exact = std::log1p(std::exp(static_cast<double>(x[i])));
        const double error =
            std::fabs(static_cast<double>(y[i]) - exact) / ulp(std::max(std::fabs(exact), f.floor));
        if (!(error <= worst)) {
          worst = error;
          where = x[i];
        }
      }
      std::printf("  %-28s %-10s %5.2f ulp at %g\n", kernel.name, f.name, worst, where);
      if (std::string(kernel.isa) != "reference") CHECK(worst <= f.most_ulp);
    });
  }
}

TEST(special_values_of_unary_functions) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const float x[] = {nan, infinity, -infinity, 0.0f, 1000.0f, -1000.0f, 89.5f, -110.0f};
  for_rows(Family::kUnaryF32, [&](const Kernel& kernel) {
    const auto run = [&](int32_t function, float* y) {
      edgecv::kernels::UnaryProblem p;
      std::memset(&p, 0, sizeof(p));
      p.runs = 1;
      p.count = p.in_stride = p.out_stride = 8;
      p.function = function;
      const void* in[] = {x};
      kernel.run(&p, {in, y, nullptr}, 0, kernel.work_items(&p), nullptr);
    };
    WITH_CONTEXT(kernel.name);
    float y[8];
    for (const int32_t function : {4, 7, 8, 9, 11, 12, 13, 14, 19}) {
      WITH_CONTEXT("function " + std::to_string(function));
      run(function, y);
      CHECK(std::isnan(y[0]));
    }
    run(12, y);
    CHECK_EQ(y[1], infinity);
    CHECK_EQ(y[2], 0.0f);
    CHECK_EQ(y[4], infinity);
    CHECK_EQ(y[6], infinity);
    CHECK_EQ(y[7], 0.0f);
    run(13, y);
    CHECK_EQ(y[1], infinity);
    CHECK_EQ(y[3], -infinity);
    CHECK(std::isnan(y[2]));
    run(4, y);
    CHECK_EQ(y[1], 1.0f);
    CHECK(y[2] >= 0.0f && y[2] < 1e-37f);
    run(8, y);
    CHECK_EQ(y[4], 1.0f);
    CHECK_EQ(y[5], -1.0f);
  });
}

// Weights and inputs of both signs around 0 with many channels: where Winograd's transforms lose
// most against a plain sum.
TEST(convolutions_against_f64) {
  edgecv_test::Draw draw(edgecv_test::state().seed);
  for (const int32_t channels : {16, 64, 256}) {
    edgecv_test::ConvShape shape;
    shape.in_h = 13;
    shape.in_w = 10;
    shape.in_c = channels;
    shape.out_c = 24;
    shape.kernel_h = shape.kernel_w = 3;
    shape.pad_top = shape.pad_left = shape.pad_bottom = shape.pad_right = 1;
    edgecv_test::Case c = edgecv_test::make_conv_case(Family::kConvF32, shape, draw);
    auto& p = *static_cast<edgecv::kernels::ConvProblem*>(c.problem_storage.get());
    p.lo_f = -INFINITY;
    p.hi_f = INFINITY;
    const edgecv_test::Oracle oracle = edgecv_test::conv_f32_oracle(c, false);
    double largest = 0.0;
    for (const auto& e : oracle.values) largest = std::max(largest, std::fabs(e.value));
    for_rows(Family::kConvF32, [&](const Kernel& kernel) {
      if (kernel.supports != nullptr && !kernel.supports(c.problem())) return;
      WITH_CONTEXT(kernel.name);
      const edgecv_test::KernelResult got = edgecv_test::run_kernel(kernel, c, 1, draw);
      double worst = 0.0;
      for (const auto& e : oracle.values) {
        float value;
        std::memcpy(&value, got.out.data() + static_cast<size_t>(e.element) * 4, sizeof(value));
        worst = std::max(worst, std::fabs(static_cast<double>(value) - e.value));
      }
      std::printf("  %-28s %3d channels: %.1e of the largest\n", kernel.name, channels,
                  worst / largest);
      const bool winograd = std::string(kernel.name).find("winograd") == 0;
      CHECK(worst <= (winograd ? 1e-5 : 2e-6) * largest);
    });
  }
}
