// Softmax s8 over rows of `reduce` values. A work item is a row. E[d] comes by vpgatherdd twice
// (sum, then scale): keeping the gathered values would need scratch and saves little.
#include "kernels/avx2/simd.h"
#include "kernels/reduce.h"

namespace edgecv::kernels::avx2 {
namespace {

const ReduceProblem& as_reduce(const void* problem) {
  return *static_cast<const ReduceProblem*>(problem);
}

int64_t softmax_items(const void* problem) { return as_reduce(problem).outer; }

int32_t largest(const int8_t* x, int64_t count) {
  __m256i best = _mm256_set1_epi8(-128);
  int64_t i = 0;
  for (; i + 32 <= count; i += 32) best = _mm256_max_epi8(best, load256(x + i));
  alignas(32) int8_t bytes[32];
  store256(bytes, best);
  int32_t result = -128;
  for (const int8_t value : bytes) result = value > result ? value : result;
  for (; i < count; ++i) result = x[i] > result ? x[i] : result;
  return result;
}

// E[top - x] of 8 values.
EDGECV_INLINE __m256i gather_exp(const int32_t* table, __m256i top, __m128i x) {
  return _mm256_i32gather_epi32(table, _mm256_sub_epi32(top, _mm256_cvtepi8_epi32(x)), 4);
}

int softmax_run(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const ReduceProblem& p = as_reduce(problem);
  const int32_t* table = p.exp_table;
  const int64_t n = p.reduce;
  const Clamp clamp = make_clamp(-128, -128, 127);
  for (int64_t row = begin; row < end; ++row) {
    const int8_t* x = static_cast<const int8_t*>(operands.in[0]) + row * n;
    int8_t* y = static_cast<int8_t*>(operands.out) + row * n;
    const int32_t top = largest(x, n);
    const __m256i tops = _mm256_set1_epi32(top);
    __m256i sums = _mm256_setzero_si256();
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
      sums = _mm256_add_epi32(sums, gather_exp(table, tops, load64(x + i)));
    alignas(32) int32_t parts[8];
    store256(parts, sums);
    int32_t sum = 0;
    for (const int32_t part : parts) sum += part;
    for (; i < n; ++i) sum += table[top - x[i]];
    const float r = 256.0f / static_cast<float>(sum);
    const __m256 scale = _mm256_set1_ps(r);
    for (i = 0; i < n; i += 8) {
      const int64_t count = min_of(8, n - i);
      const __m128i bytes = count == 8 ? load64(x + i)
                                       : _mm_min_epi8(load_tail(x + i, count),
                                                      _mm_set1_epi8(static_cast<int8_t>(top)));
      const __m256i q = scale_round(gather_exp(table, tops, bytes), scale);
      const __m256i words = pack_words(q, q, clamp);
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

extern const Kernel softmax_s8_x8 = {
    "softmax_s8_x8__avx2",
    "avx2",
    Family::kSoftmaxS8,
    kIsaAvx2,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    softmax_items,
    softmax_run,
};

}  // namespace edgecv::kernels::avx2
