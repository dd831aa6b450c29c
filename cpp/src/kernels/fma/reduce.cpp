// ReduceMean, ArgMax, Softmax and LayerNorm in f32.
#include "kernels/reduce.h"

#include "kernels/fma/math.h"

namespace edgecv::kernels::fma {
namespace {

const ReduceProblem& as_reduce(const void* problem) {
  return *static_cast<const ReduceProblem*>(problem);
}

EDGECV_INLINE __m128 add_halves(__m256 v) {
  return _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
}

EDGECV_INLINE float horizontal_sum(__m256 v) {
  __m128 s = add_halves(v);
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

EDGECV_INLINE float horizontal_max(__m256 v) {
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

// Sums map(v) over a row in four vectors, in an order that the length alone decides.
template <typename Map>
EDGECV_INLINE float sum_row(const float* x, int64_t count, const Map& map) {
  __m256 sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                   _mm256_setzero_ps()};
  int64_t i = 0;
  for (; i + 32 <= count; i += 32) {
    unroll<4>([&](auto v)
                  __attribute__((always_inline)) { sum[v] = sum[v] + map(load8(x + i + 8 * v)); });
  }
  for (; i + 8 <= count; i += 8) sum[0] = sum[0] + map(load8(x + i));
  float rest = 0.0f;
  if (i < count) {
    alignas(32) float values[8];
    _mm256_store_ps(values, map(load_tail(x + i, count - i)));
    for (int64_t j = 0; j < count - i; ++j) rest += values[j];
  }
  return horizontal_sum((sum[0] + sum[1]) + (sum[2] + sum[3])) + rest;
}

// ReduceMean: items of up to kBlock inner positions of one outer index.
constexpr int64_t kBlock = 64;

int64_t mean_items(const void* problem) {
  const ReduceProblem& p = as_reduce(problem);
  return p.outer * div_up(p.inner, kBlock);
}

// The means of 8 * kVectors neighbouring positions. Long columns are summed in pieces of kPiece, so
// that rounding errors do not grow with their length.
template <int kVectors>
EDGECV_INLINE void mean_columns(const float* x, int64_t reduce, int64_t step, float* y) {
  constexpr int64_t kPiece = 256;
  const __m256 divisor = set(static_cast<float>(reduce));
  __m256 total[kVectors];
  unroll<kVectors>([&](auto v) __attribute__((always_inline)) { total[v] = _mm256_setzero_ps(); });
  for (int64_t first = 0; first < reduce; first += kPiece) {
    __m256 sum[kVectors];
    unroll<kVectors>([&](auto v) __attribute__((always_inline)) { sum[v] = _mm256_setzero_ps(); });
    const int64_t stop = min_of(reduce, first + kPiece);
    for (int64_t r = first; r < stop; ++r, x += step) {
      unroll<kVectors>([&](auto v)
                           __attribute__((always_inline)) { sum[v] = sum[v] + load8(x + 8 * v); });
    }
    unroll<kVectors>([&](auto v) __attribute__((always_inline)) { total[v] = total[v] + sum[v]; });
  }
  unroll<kVectors>([&](auto v)
                       __attribute__((always_inline)) { store8(y + 8 * v, total[v] / divisor); });
}

int run_mean(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const ReduceProblem& p = as_reduce(problem);
  const int64_t blocks = div_up(p.inner, kBlock);
  for (int64_t item = begin; item < end; ++item) {
    const int64_t outer = item / blocks, first = item % blocks * kBlock;
    const float* x = static_cast<const float*>(operands.in[0]) + outer * p.reduce * p.inner + first;
    float* y = static_cast<float*>(operands.out) + outer * p.inner + first;
    if (p.inner == 1) {
      *y = sum_row(
               x, p.reduce, [](__m256 v) __attribute__((always_inline)) { return v; }) /
           static_cast<float>(p.reduce);
      continue;
    }
    const int64_t count = min_of(kBlock, p.inner - first);
    int64_t i = 0;
    for (; i + 32 <= count; i += 32) mean_columns<4>(x + i, p.reduce, p.inner, y + i);
    for (; i + 8 <= count; i += 8) mean_columns<1>(x + i, p.reduce, p.inner, y + i);
    for (; i < count; ++i) {
      double sum = 0.0;
      for (int64_t r = 0; r < p.reduce; ++r) sum += static_cast<double>(x[r * p.inner + i]);
      y[i] = static_cast<float>(sum / p.reduce);
    }
  }
  return 0;
}

int64_t row_items(const void* problem) { return as_reduce(problem).outer; }

EDGECV_INLINE float largest(const float* x, int64_t count) {
  int64_t i = 0;
  __m256 top = set(x[0]);
  for (; i + 8 <= count; i += 8) top = _mm256_max_ps(load8(x + i), top);
  float best = horizontal_max(top);
  for (; i < count; ++i) best = x[i] > best ? x[i] : best;
  return best;
}

// The first of the largest. Rows with a NaN are left to plain comparisons, whose answer depends on
// its place.
int run_argmax(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const ReduceProblem& p = as_reduce(problem);
  for (int64_t row = begin; row < end; ++row) {
    const float* x = static_cast<const float*>(operands.in[0]) + row * p.reduce;
    __m256 unordered = _mm256_setzero_ps();
    int64_t i = 0;
    for (; i + 8 <= p.reduce; i += 8) {
      const __m256 v = load8(x + i);
      unordered = _mm256_or_ps(unordered, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    }
    bool plain = _mm256_movemask_ps(unordered) != 0;
    for (; i < p.reduce; ++i) plain = plain || x[i] != x[i];
    int32_t best = 0;
    if (plain) {
      for (int32_t k = 1; k < p.reduce; ++k) {
        if (x[k] > x[best]) best = k;
      }
    } else {
      const float top = largest(x, p.reduce);
      while (x[best] != top) ++best;
    }
    static_cast<int32_t*>(operands.out)[row] = best;
  }
  return 0;
}

int run_softmax(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const ReduceProblem& p = as_reduce(problem);
  for (int64_t row = begin; row < end; ++row) {
    const float* x = static_cast<const float*>(operands.in[0]) + row * p.reduce;
    float* y = static_cast<float*>(operands.out) + row * p.reduce;
    const __m256 top = set(largest(x, p.reduce));
    int64_t i = 0;
    for (; i + 8 <= p.reduce; i += 8) store8(y + i, exp8(load8(x + i) - top));
    if (i < p.reduce) store_tail(y + i, exp8(load_tail(x + i, p.reduce - i) - top), p.reduce - i);
    const float sum = sum_row(
        y, p.reduce, [](__m256 v) __attribute__((always_inline)) { return v; });
    const __m256 r = set(1.0f / sum);
    for (i = 0; i + 8 <= p.reduce; i += 8) store8(y + i, load8(y + i) * r);
    for (; i < p.reduce; ++i) y[i] *= _mm256_cvtss_f32(r);
  }
  return 0;
}

int run_layer_norm(const void* problem, const Operands& operands, int64_t begin, int64_t end,
                   void*) {
  const ReduceProblem& p = as_reduce(problem);
  const int64_t n = p.reduce;
  for (int64_t row = begin; row < end; ++row) {
    const float* x = static_cast<const float*>(operands.in[0]) + row * n;
    float* y = static_cast<float*>(operands.out) + row * n;
    // The mean of the differences from a first mean makes up for that one's rounding.
    const auto count = static_cast<float>(n);
    const __m256 rough = set(sum_row(
                                 x, n, [](__m256 v) __attribute__((always_inline)) { return v; }) /
                             count);
    const __m256 shift =
        set(sum_row(
                x, n, [&](__m256 v) __attribute__((always_inline)) { return v - rough; }) /
            count);
    const float squares = sum_row(
        x, n, [&](__m256 v) __attribute__((always_inline)) {
          const __m256 d = (v - rough) - shift;
          return d * d;
        });
    const __m256 r = set(1.0f / __builtin_sqrtf(squares / count + p.epsilon));
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
      const __m256 d = ((load8(x + i) - rough) - shift) * r;
      store8(y + i, _mm256_fmadd_ps(d, load8(p.gamma + i), load8(p.beta + i)));
    }
    if (i < n) {
      const __m256 d = ((load_tail(x + i, n - i) - rough) - shift) * r;
      store_tail(y + i,
                 _mm256_fmadd_ps(d, load_tail(p.gamma + i, n - i), load_tail(p.beta + i, n - i)),
                 n - i);
    }
  }
  return 0;
}

}  // namespace

extern const Kernel reduce_mean_f32_c32 = {
    "reduce_mean_f32_c32__fma",
    "fma",
    Family::kReduceMeanF32,
    kIsaAvx2 | kIsaFma,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    mean_items,
    run_mean,
};

extern const Kernel argmax_f32_x8 = {
    "argmax_f32_x8__fma",
    "fma",
    Family::kArgMaxF32,
    kIsaAvx2 | kIsaFma,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    row_items,
    run_argmax,
};

extern const Kernel softmax_f32_x8 = {
    "softmax_f32_x8__fma",
    "fma",
    Family::kSoftmaxF32,
    kIsaAvx2 | kIsaFma,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    row_items,
    run_softmax,
};

extern const Kernel layer_norm_f32_x8 = {
    "layer_norm_f32_x8__fma",
    "fma",
    Family::kLayerNormF32,
    kIsaAvx2 | kIsaFma,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    row_items,
    run_layer_norm,
};

}  // namespace edgecv::kernels::fma
