// ReduceMean s8 of [outer][reduce][inner]: global average pooling of an NHWC image has reduce = H *
// W, inner = C.
//
// Bytes are biased to u8 and summed exactly: inner positions side by side (16 a step, s32 sums),
// or, for inner == 1, vpsadbw over the row. The bias and the zero point come off at the end, modulo
// 2^32 like the contract's sum.
#include "kernels/reduce.h"

#include "kernels/avx2/simd.h"

namespace edgecv::kernels::avx2 {
namespace {

constexpr int64_t kBlock = 64;  // inner positions of a work item

const ReduceProblem& as_reduce(const void* problem) {
  return *static_cast<const ReduceProblem*>(problem);
}

int64_t mean_items(const void* problem) {
  const ReduceProblem& p = as_reduce(problem);
  return p.outer * div_up(p.inner, kBlock);
}

struct MeanTask {
  const int8_t* x;
  int64_t reduce, inner;
  int64_t count;  // positions, 1..16
  int8_t* y;
  __m256i offset;  // reduce * zero_point
  __m256 multiplier;
};

// Sums of s16 hold 255 rows: 255 * 128 < 2^15.
constexpr int64_t kWordRows = 255;

template <bool kWhole>
void mean_columns(const MeanTask t, const Clamp clamp) {
  __m256i low = _mm256_setzero_si256(), high = low;
  const int8_t* x = t.x;
  for (int64_t r = 0; r < t.reduce;) {
    const int64_t stop = min_of(t.reduce, r + kWordRows);
    __m256i words = _mm256_setzero_si256();
    for (; r < stop; ++r, x += t.inner) {
      const __m128i bytes = kWhole ? load128(x) : load_tail(x, t.count);
      words = _mm256_add_epi16(words, _mm256_cvtepi8_epi16(bytes));
    }
    low = _mm256_add_epi32(low, _mm256_cvtepi16_epi32(low_half(words)));
    high = _mm256_add_epi32(high, _mm256_cvtepi16_epi32(high_half(words)));
  }
  const __m256i q0 = scale_round(_mm256_sub_epi32(low, t.offset), t.multiplier);
  const __m256i q1 = scale_round(_mm256_sub_epi32(high, t.offset), t.multiplier);
  const __m256i words = pack_words(q0, q1, clamp);
  const __m128i bytes = low_half(clamp_bytes(words, words, clamp));
  if (kWhole) {
    store128(t.y, bytes);
  } else {
    store_tail(t.y, bytes, t.count);
  }
}

// inner == 1: the sum of one dense row.
uint32_t sum_row(const int8_t* x, int64_t count) {
  const __m256i flip = _mm256_set1_epi8(-128), zero = _mm256_setzero_si256();
  __m256i sums = zero;  // u64
  int64_t i = 0;
  for (; i + 32 <= count; i += 32) {
    sums = _mm256_add_epi64(sums, _mm256_sad_epu8(_mm256_xor_si256(load256(x + i), flip), zero));
  }
  alignas(32) uint64_t parts[4];
  store256(parts, sums);
  auto sum = static_cast<uint32_t>(parts[0] + parts[1] + parts[2] + parts[3] -
                                   128u * static_cast<uint64_t>(i));
  for (; i < count; ++i) sum += static_cast<uint32_t>(x[i]);
  return sum;
}

int mean_run(const void* problem, const Operands& operands, int64_t begin, int64_t end, void*) {
  const ReduceProblem& p = as_reduce(problem);
  const int64_t blocks = div_up(p.inner, kBlock);
  const Clamp clamp = make_clamp(p.out_zero_point, p.lo, p.hi);
  const uint32_t offset = static_cast<uint32_t>(p.reduce) * static_cast<uint32_t>(p.in_zero_point);
  MeanTask t;
  t.reduce = p.reduce;
  t.inner = p.inner;
  t.offset = _mm256_set1_epi32(static_cast<int32_t>(offset));
  t.multiplier = _mm256_set1_ps(p.multiplier);
  for (int64_t item = begin; item < end; ++item) {
    const int64_t outer = item / blocks, first = item % blocks * kBlock;
    const int64_t stop = min_of(p.inner, first + kBlock);
    const int8_t* x = static_cast<const int8_t*>(operands.in[0]) + outer * p.reduce * p.inner;
    int8_t* y = static_cast<int8_t*>(operands.out) + outer * p.inner;
    if (p.inner == 1) {
      const __m256i acc = _mm256_set1_epi32(static_cast<int32_t>(sum_row(x, p.reduce) - offset));
      const __m256i words = pack_words(scale_round(acc, t.multiplier), acc, clamp);
      store_tail(y, low_half(clamp_bytes(words, words, clamp)), 1);
      continue;
    }
    for (int64_t c = first; c < stop; c += 16) {
      t.x = x + c;
      t.y = y + c;
      t.count = min_of(16, stop - c);
      if (t.count == 16) {
        mean_columns<true>(t, clamp);
      } else {
        mean_columns<false>(t, clamp);
      }
    }
  }
  return 0;
}

}  // namespace

extern const Kernel reduce_mean_s8_c16 = {
    "reduce_mean_s8_c16__avx2",
    "avx2",
    Family::kReduceMeanS8,
    kIsaAvx2,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    mean_items,
    mean_run,
};

}  // namespace edgecv::kernels::avx2
