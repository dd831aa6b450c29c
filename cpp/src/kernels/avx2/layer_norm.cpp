// LayerNorm s8 over rows of `reduce` <= 65536 values. A work item is a row. Sums fit s32: |S| <=
// 2^23, Q <= 2^30.
#include "kernels/avx2/simd.h"
#include "kernels/reduce.h"

namespace edgecv::kernels::avx2 {
namespace {

const ReduceProblem& as_reduce(const void* problem) {
  return *static_cast<const ReduceProblem*>(problem);
}

bool norm_supports(const void* problem) { return as_reduce(problem).reduce <= 65536; }

int64_t norm_items(const void* problem) { return as_reduce(problem).outer; }

int64_t total(__m256i sums) {
  alignas(32) int32_t parts[8];
  store256(parts, sums);
  int64_t result = 0;
  for (const int32_t part : parts) result += part;
  return result;
}

struct RowSums {
  int64_t sum, squares;
};

RowSums sum_row(const int8_t* x, int64_t n) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i sums = _mm256_setzero_si256(), squares = sums;
  for (int64_t i = 0; i < n; i += 16) {
    const int64_t count = min_of(16, n - i);
    const __m256i words =
        _mm256_cvtepi8_epi16(count == 16 ? load128(x + i) : load_tail(x + i, count));
    sums = _mm256_add_epi32(sums, _mm256_madd_epi16(words, ones));
    squares = _mm256_add_epi32(squares, _mm256_madd_epi16(words, words));
  }
  return {total(sums), total(squares)};
}

// The first `count` <= 8 floats; the others are 0.
EDGECV_INLINE __m256 load_floats(const float* p, int64_t count) {
  if (count == 8) return _mm256_loadu_ps(p);
  alignas(32) float values[8] = {0};
  memcpy(values, p, static_cast<size_t>(count) * sizeof(float));
  return _mm256_load_ps(values);
}

int norm_run(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const ReduceProblem& p = as_reduce(problem);
  const int64_t n = p.reduce;
  const float *gamma = p.gamma, *beta = p.beta;
  const Clamp clamp = make_clamp(p.out_zero_point, p.lo, p.hi);
  // Clamped before the conversion, so that no value is too large for it.
  const __m256 lo = _mm256_set1_ps(static_cast<float>(p.lo - p.out_zero_point));
  const __m256 hi = _mm256_set1_ps(static_cast<float>(p.hi - p.out_zero_point));
  const __m256i length = _mm256_set1_epi32(p.reduce);
  for (int64_t row = begin; row < end; ++row) {
    const int8_t* x = static_cast<const int8_t*>(operands.in[0]) + row * n;
    int8_t* y = static_cast<int8_t*>(operands.out) + row * n;
    const RowSums s = sum_row(x, n);
    const int64_t variance = n * s.squares - s.sum * s.sum;
    const float spread = static_cast<float>(variance) + p.epsilon;
    const float root = _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(spread)));
    const __m256 r = _mm256_set1_ps(1.0f / root);
    const __m256i sum = _mm256_set1_epi32(static_cast<int32_t>(s.sum));
    for (int64_t i = 0; i < n; i += 8) {
      const int64_t count = min_of(8, n - i);
      const __m256i q = _mm256_cvtepi8_epi32(count == 8 ? load64(x + i) : load_tail(x + i, count));
      const __m256 a = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_mullo_epi32(q, length), sum));
      const __m256 scaled = _mm256_mul_ps(_mm256_mul_ps(a, r), load_floats(gamma + i, count));
      const __m256 t = _mm256_add_ps(scaled, load_floats(beta + i, count));
      const __m256i rounded = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(t, lo), hi));
      const __m256i words = pack_words(rounded, rounded, clamp);
      const __m128i out = low_half(clamp_bytes(words, words, clamp));
      if (count == 8) {
        store64(y + i, out);
      } else {
        store_tail(y + i, out, count);
      }
    }
  }
  return 0;
}

}  // namespace

extern const Kernel layer_norm_s8_x8 = {
    "layer_norm_s8_x8__avx2",
    "avx2",
    Family::kLayerNormS8,
    kIsaAvx2,
    norm_supports,
    nullptr,
    nullptr,
    nullptr,
    norm_items,
    norm_run,
};

}  // namespace edgecv::kernels::avx2
