// Oracles of matmul, move, and of what reduces or normalizes an axis.
#ifndef EDGECV_TESTS_CPP_KERNELS_ORACLE_MATRIX_H_
#define EDGECV_TESTS_CPP_KERNELS_ORACLE_MATRIX_H_

#include <vector>

#include "kernels/matmul.h"
#include "kernels/move.h"
#include "kernels/reduce.h"
#include "oracle.h"

namespace edgecv_test {

template <typename T>
Oracle matmul_oracle(const Case& c) {
  const auto& p = c.as<edgecv::kernels::MatMulProblem>();
  const bool integer = sizeof(T) == 1;
  Oracle oracle;
  int64_t index[6] = {};
  for (int64_t entry = 0;; ++entry) {
    const T* a = c.input<T>(0);
    const T* b = c.input<T>(1);
    for (int32_t i = 0; i < p.batch_rank; ++i) {
      a += index[i] * p.a_stride[i];
      b += index[i] * p.b_stride[i];
    }
    for (int64_t m = 0; m < p.m; ++m) {
      for (int64_t n = 0; n < p.n; ++n) {
        double acc = 0.0;  // exact for integers: below 2^53
        for (int64_t k = 0; k < p.k; ++k) {
          const double va = static_cast<double>(a[m * p.k + k]) - (integer ? p.a_zero_point : 0);
          const double vb = static_cast<double>(p.transpose_b ? b[n * p.k + k] : b[k * p.n + n]) -
                            (integer ? p.b_zero_point : 0);
          acc += va * vb;
        }
        const double y = integer ? requantize_exactly(static_cast<int64_t>(acc), p.multiplier,
                                                      p.out_zero_point, p.lo, p.hi)
                                 : acc;
        oracle.values.push_back({(entry * p.m + m) * p.n + n, y});
      }
    }
    int32_t axis = p.batch_rank - 1;
    while (axis >= 0 && ++index[axis] == p.batch_dims[axis]) index[axis--] = 0;
    if (axis < 0) return oracle;
  }
}

template <typename T>
Oracle mean_oracle(const Case& c) {
  const auto& p = c.as<edgecv::kernels::ReduceProblem>();
  const bool integer = sizeof(T) == 1;
  Oracle oracle;
  for (int64_t outer = 0; outer < p.outer; ++outer) {
    for (int64_t inner = 0; inner < p.inner; ++inner) {
      double acc = 0.0;
      for (int64_t r = 0; r < p.reduce; ++r) {
        acc += static_cast<double>(c.input<T>(0)[(outer * p.reduce + r) * p.inner + inner]) -
               (integer ? p.in_zero_point : 0);
      }
      const double y = integer ? requantize_exactly(static_cast<int64_t>(acc), p.multiplier,
                                                    p.out_zero_point, p.lo, p.hi)
                               : acc / p.reduce;
      oracle.values.push_back({outer * p.inner + inner, y});
    }
  }
  return oracle;
}

template <typename T>
Oracle argmax_oracle(const Case& c) {
  const auto& p = c.as<edgecv::kernels::ReduceProblem>();
  Oracle oracle;
  for (int64_t row = 0; row < p.outer; ++row) {
    const T* x = c.input<T>(0) + row * p.reduce;
    oracle.values.push_back({row, static_cast<double>(std::max_element(x, x + p.reduce) - x)});
  }
  return oracle;
}

inline Oracle softmax_s8_oracle(const Case& c) {
  const auto& p = c.as<edgecv::kernels::ReduceProblem>();
  Oracle oracle;
  for (int64_t row = 0; row < p.outer; ++row) {
    const int8_t* x = c.input<int8_t>(0) + row * p.reduce;
    const int32_t top = *std::max_element(x, x + p.reduce);
    int64_t sum = 0;
    for (int64_t i = 0; i < p.reduce; ++i) sum += p.exp_table[top - x[i]];
    const double r = f32(256.0 / f32(static_cast<double>(sum)));
    for (int64_t i = 0; i < p.reduce; ++i) {
      const double t = f32(f32(p.exp_table[top - x[i]]) * r);
      oracle.values.push_back({row * p.reduce + i, round_and_clamp(t, -128, -128, 127)});
    }
  }
  return oracle;
}

inline Oracle softmax_f32_oracle(const Case& c) {
  const auto& p = c.as<edgecv::kernels::ReduceProblem>();
  Oracle oracle;
  for (int64_t row = 0; row < p.outer; ++row) {
    const float* x = c.input<float>(0) + row * p.reduce;
    double sum = 0.0;
    for (int64_t i = 0; i < p.reduce; ++i) sum += std::exp(static_cast<double>(x[i]));
    for (int64_t i = 0; i < p.reduce; ++i) {
      oracle.values.push_back({row * p.reduce + i, std::exp(static_cast<double>(x[i])) / sum});
    }
  }
  return oracle;
}

inline Oracle layer_norm_s8_oracle(const Case& c) {
  const auto& p = c.as<edgecv::kernels::ReduceProblem>();
  const int64_t n = p.reduce;
  Oracle oracle;
  for (int64_t row = 0; row < p.outer; ++row) {
    const int8_t* x = c.input<int8_t>(0) + row * n;
    int64_t sum = 0;
    int64_t squares = 0;
    for (int64_t i = 0; i < n; ++i) {
      sum += x[i];
      squares += int64_t{x[i]} * x[i];
    }
    const double v = f32(static_cast<double>(n * squares - sum * sum));
    const double r = f32(1.0 / f32(std::sqrt(f32(v + double{p.epsilon}))));
    for (int64_t i = 0; i < n; ++i) {
      const double normal = f32(f32(static_cast<double>(n * x[i] - sum)) * r);
      const double t = f32(f32(normal * double{p.gamma[i]}) + double{p.beta[i]});
      oracle.values.push_back(
          {row * n + i, round_and_clamp(clip_exactly(t, -1e6, 1e6), p.out_zero_point, p.lo, p.hi)});
    }
  }
  return oracle;
}

inline Oracle layer_norm_f32_oracle(const Case& c) {
  const auto& p = c.as<edgecv::kernels::ReduceProblem>();
  const int64_t n = p.reduce;
  Oracle oracle;
  for (int64_t row = 0; row < p.outer; ++row) {
    const float* x = c.input<float>(0) + row * n;
    double sum = 0.0;
    double squares = 0.0;
    for (int64_t i = 0; i < n; ++i) sum += x[i];
    const double mean = sum / static_cast<double>(n);
    for (int64_t i = 0; i < n; ++i) squares += (x[i] - mean) * (x[i] - mean);
    const double deviation = std::sqrt(squares / static_cast<double>(n) + double{p.epsilon});
    for (int64_t i = 0; i < n; ++i) {
      oracle.values.push_back({row * n + i, (x[i] - mean) / deviation * p.gamma[i] + p.beta[i]});
    }
  }
  return oracle;
}

// Elements are bytes here.
inline Oracle move_oracle(const Case& c) {
  const auto& p = c.as<edgecv::kernels::MoveProblem>();
  std::vector<int32_t> bytes(static_cast<size_t>(p.out_bytes), -1000);
  if (p.fill) {
    for (size_t i = 0; i < bytes.size(); ++i) {
      const size_t place = i % static_cast<size_t>(p.fill_bytes);
      bytes[i] = static_cast<int8_t>(p.fill_bits >> (8 * place));
    }
  }
  int64_t index[8] = {};
  for (int32_t axis = 0; axis >= 0;) {
    int64_t from = p.in_offset;
    int64_t to = p.out_offset;
    for (int32_t i = 0; i < p.rank; ++i) {
      from += index[i] * p.in_stride[i];
      to += index[i] * p.out_stride[i];
    }
    for (int32_t i = 0; i < p.element_bytes; ++i) {
      bytes[static_cast<size_t>(to + i)] = c.input<int8_t>(0)[from + i];
    }
    axis = p.rank - 1;
    while (axis >= 0 && ++index[axis] == p.dims[axis]) index[axis--] = 0;
  }
  Oracle oracle;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != -1000) oracle.values.push_back({static_cast<int64_t>(i), double(bytes[i])});
  }
  return oracle;
}

}  // namespace edgecv_test

#endif  // EDGECV_TESTS_CPP_KERNELS_ORACLE_MATRIX_H_
