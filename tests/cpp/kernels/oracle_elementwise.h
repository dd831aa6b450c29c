// Oracles of the elementwise families.
#ifndef EDGECV_TESTS_CPP_KERNELS_ORACLE_ELEMENTWISE_H_
#define EDGECV_TESTS_CPP_KERNELS_ORACLE_ELEMENTWISE_H_

#include <vector>

#include "kernels/elementwise.h"
#include "oracle.h"

namespace edgecv_test {

template <typename T>
Oracle binary_oracle(const Case& c) {
  using edgecv::kernels::BinaryOp;
  const auto& p = c.as<edgecv::kernels::BinaryProblem>();
  size_t next = 0;
  const T* a = p.a_constant != nullptr ? static_cast<const T*>(p.a_constant) : c.input<T>(next++);
  const T* b = p.b_constant != nullptr ? static_cast<const T*>(p.b_constant) : c.input<T>(next);
  Oracle oracle;
  int64_t index[8] = {};
  for (;;) {
    int64_t a_at = 0;
    int64_t b_at = 0;
    int64_t element = 0;
    for (int32_t i = 0; i < p.rank; ++i) {
      a_at += index[i] * p.a_stride[i];
      b_at += index[i] * p.b_stride[i];
      element += index[i] * p.out_stride[i];
    }
    double y = 0.0;
    if (sizeof(T) == 1) {
      const double da = double{static_cast<double>(a[a_at])} - p.a_zero_point;
      const double db = double{static_cast<double>(b[b_at])} - p.b_zero_point;
      const double fa = f32(da * double{p.ma});
      const double fb = f32(db * double{p.mb});
      if (p.op == BinaryOp::kAdd) y = f32(fa + fb);
      if (p.op == BinaryOp::kSub) y = f32(fa - fb);
      if (p.op == BinaryOp::kMul) y = f32(da * db * double{p.ma});
      y = round_and_clamp(y, p.out_zero_point, p.lo, p.hi);
    } else {
      const double fa = static_cast<double>(a[a_at]);
      const double fb = static_cast<double>(b[b_at]);
      if (p.op == BinaryOp::kAdd) y = fa + fb;
      if (p.op == BinaryOp::kSub) y = fa - fb;
      if (p.op == BinaryOp::kMul) y = fa * fb;
      if (p.op == BinaryOp::kDiv) y = fa / fb;
      y = clip_exactly(y, p.lo_f, p.hi_f);
    }
    oracle.values.push_back({element, y});
    int32_t axis = p.rank - 1;
    while (axis >= 0 && ++index[axis] == p.dims[axis]) index[axis--] = 0;
    if (axis < 0) return oracle;
  }
}

// Calls f(index in the input, index in the output) for every element.
template <typename Function>
void for_run_elements(const edgecv::kernels::UnaryProblem& p, const Function& f) {
  for (int64_t run = 0; run < p.runs; ++run) {
    for (int64_t i = 0; i < p.count; ++i) f(run * p.in_stride + i, run * p.out_stride + i);
  }
}

inline Oracle lookup_oracle(const Case& c) {
  const auto& p = c.as<edgecv::kernels::UnaryProblem>();
  Oracle oracle;
  for_run_elements(p, [&](int64_t in, int64_t out) {
    oracle.values.push_back({out, static_cast<double>(p.table[c.input<int8_t>(0)[in] + 128])});
  });
  return oracle;
}

// The table "Functions of Unary" of docs/ops.md.
inline double unary_exactly(int32_t function, double x, double alpha, double beta) {
  const double sigmoid = 1.0 / (1.0 + std::exp(-x));
  switch (function) {
    case 1:
      return std::max(x, 0.0);
    case 2:
      return clip_exactly(x, alpha, beta);
    case 3:
      return x < 0 ? alpha * x : x;
    case 4:
      return sigmoid;
    case 5:
      return clip_exactly(alpha * x + beta, 0.0, 1.0);
    case 6:
      return x * clip_exactly(x / 6.0 + 0.5, 0.0, 1.0);
    case 7:
      return x * sigmoid;
    case 8:
      return std::tanh(x);
    case 9:
      return 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0)));
    case 10:
      return 0.5 * x *
             (1.0 + std::tanh(std::sqrt(2.0 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case 11:
      return std::erf(x);
    case 12:
      return std::exp(x);
    case 13:
      return std::log(x);
    case 14:
      return std::sqrt(x);
    case 15:
      return std::fabs(x);
    case 16:
      return -x;
    case 17:
      return 1.0 / x;
    case 18:
      return x < 0 ? alpha * (std::exp(x) - 1.0) : x;
    case 19:
      return std::log(1.0 + std::exp(x));
    case 20:
      return std::floor(x);
    default:
      return std::nan("");
  }
}

inline Oracle unary_oracle(const Case& c) {
  const auto& p = c.as<edgecv::kernels::UnaryProblem>();
  Oracle oracle;
  for_run_elements(p, [&](int64_t in, int64_t out) {
    const double x = c.input<float>(0)[in];
    oracle.values.push_back({out, unary_exactly(p.function, x, p.alpha, p.beta)});
  });
  return oracle;
}

template <typename T>
Oracle prelu_oracle(const Case& c) {
  const auto& p = c.as<edgecv::kernels::PReluProblem>();
  const bool integer = sizeof(T) == 1;
  Oracle oracle;
  for (int64_t i = 0; i < p.pixels * p.channels; ++i) {
    const double slope = p.slope[p.slope_count == 1 ? 0 : i % p.channels];
    const double x = static_cast<double>(c.input<T>(0)[i]) - (integer ? p.in_zero_point : 0);
    double y = x * (x >= 0 ? (integer ? p.m_positive : 1.0) : slope);
    if (integer) y = round_and_clamp(f32(y), p.out_zero_point, p.lo, p.hi);
    oracle.values.push_back({i, y});
  }
  return oracle;
}

inline Oracle quantize_oracle(const Case& c) {
  const auto& p = c.as<edgecv::kernels::UnaryProblem>();
  Oracle oracle;
  for_run_elements(p, [&](int64_t in, int64_t out) {
    const double x = c.input<float>(0)[in];
    if (std::isnan(x)) {
      oracle.nan_found = true;
      return;
    }
    const double t = clip_exactly(f32(x / p.scale), -1e6, 1e6);
    oracle.values.push_back({out, round_and_clamp(t, p.zero_point, -128, 127)});
  });
  return oracle;
}

inline Oracle dequantize_oracle(const Case& c) {
  const auto& p = c.as<edgecv::kernels::UnaryProblem>();
  Oracle oracle;
  for_run_elements(p, [&](int64_t in, int64_t out) {
    const double d = static_cast<double>(c.input<int8_t>(0)[in]) - p.zero_point;
    oracle.values.push_back({out, f32(d * double{p.scale})});
  });
  return oracle;
}

}  // namespace edgecv_test

#endif  // EDGECV_TESTS_CPP_KERNELS_ORACLE_ELEMENTWISE_H_
