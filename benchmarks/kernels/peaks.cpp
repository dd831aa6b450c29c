#include "peaks.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "kernels/kernel.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace edgecv_bench {

namespace {

constexpr int kRepeats = 300;  // tens of ms in all, so that some meet an idle core

double seconds_of(const std::chrono::steady_clock::time_point& start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The best rate of `run`, which does `work` units, in units a nanosecond.
template <typename Run>
double best_rate(double work, Run run) {
  double best = 0;
  for (int i = 0; i < kRepeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    best = std::max(best, work / seconds_of(start) * 1e-9);
  }
  return best;
}

// Reads one array and writes another, by vectors of the baseline; both fit the second-level cache.
double copy_rate() {
  constexpr size_t kBytes = 96 * 1024;
  std::vector<uint8_t> from(kBytes, 1), to(kBytes, 2);
  return best_rate(2.0 * kBytes, [&] {
    for (size_t i = 0; i < kBytes; ++i) to[i] = static_cast<uint8_t>(from[i] ^ 1u);
    __asm__ volatile("" : : "r"(to.data()) : "memory");
  });
}

#if defined(__x86_64__)

constexpr int kChains = 10;  // independent sums, enough to hide latency
constexpr int kSteps = 40000;

// A loop of kSteps over kChains accumulators; `BODY` updates `sum` from `u` and `s`. The barriers
// keep the compiler from moving anything out of the loop.
#define EDGECV_PEAK_LOOP(VECTOR, ZERO, BODY)                                             \
  VECTOR sums[kChains];                                                                  \
  _Pragma("GCC unroll 16") for (VECTOR & sum : sums) sum = ZERO;                         \
  for (int step = 0; step < kSteps; ++step) {                                            \
    _Pragma("GCC unroll 16") for (VECTOR & sum : sums) {                                 \
      __asm__ volatile("" : "+x"(u), "+x"(s));                                           \
      BODY;                                                                              \
    }                                                                                    \
    _Pragma("GCC unroll 16") for (VECTOR & sum : sums) __asm__ volatile("" : "+x"(sum)); \
  }

#define EDGECV_PEAK_FUNCTION(NAME, TARGET, VECTOR, SET, ZERO, BODY) \
  __attribute__((target(TARGET))) void NAME() {                     \
    VECTOR u = SET(3), s = SET(2);                                  \
    EDGECV_PEAK_LOOP(VECTOR, ZERO(), BODY)                          \
  }

EDGECV_PEAK_FUNCTION(wide256, "avx2", __m256i, _mm256_set1_epi16, _mm256_setzero_si256,
                     sum = _mm256_add_epi32(sum, _mm256_madd_epi16(u, s)))
EDGECV_PEAK_FUNCTION(sum2_256, "avx2", __m256i, _mm256_set1_epi8, _mm256_setzero_si256,
                     sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(u, s), s)))
EDGECV_PEAK_FUNCTION(sum4_256, "avx2", __m256i, _mm256_set1_epi8, _mm256_setzero_si256,
                     __m256i a = _mm256_maddubs_epi16(u, s);
                     __asm__ volatile(""
                                      : "+x"(u));
                     a = _mm256_add_epi16(a, _mm256_maddubs_epi16(u, s));
                     sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a, s)))
EDGECV_PEAK_FUNCTION(
    sum8_256, "avx2", __m256i, _mm256_set1_epi8, _mm256_setzero_si256,
    __m256i a = _mm256_maddubs_epi16(u, s);
    for (int t = 1; t < 4; ++t) {
      __asm__ volatile("" : "+x"(u));
      a = _mm256_add_epi16(a, _mm256_maddubs_epi16(u, s));
    } sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a, s)))
EDGECV_PEAK_FUNCTION(f32_256, "avx2,fma", __m256, _mm256_set1_ps, _mm256_setzero_ps,
                     sum = _mm256_fmadd_ps(u, s, sum))

EDGECV_PEAK_FUNCTION(wide128, "sse4.1", __m128i, _mm_set1_epi16, _mm_setzero_si128,
                     sum = _mm_add_epi32(sum, _mm_madd_epi16(u, s)))
EDGECV_PEAK_FUNCTION(sum2_128, "sse4.1", __m128i, _mm_set1_epi8, _mm_setzero_si128,
                     sum = _mm_add_epi32(sum, _mm_madd_epi16(_mm_maddubs_epi16(u, s), s)))
EDGECV_PEAK_FUNCTION(sum4_128, "sse4.1", __m128i, _mm_set1_epi8, _mm_setzero_si128,
                     __m128i a = _mm_maddubs_epi16(u, s);
                     __asm__ volatile(""
                                      : "+x"(u));
                     a = _mm_add_epi16(a, _mm_maddubs_epi16(u, s));
                     sum = _mm_add_epi32(sum, _mm_madd_epi16(a, s)))
EDGECV_PEAK_FUNCTION(
    sum8_128, "sse4.1", __m128i, _mm_set1_epi8, _mm_setzero_si128,
    __m128i a = _mm_maddubs_epi16(u, s);
    for (int t = 1; t < 4; ++t) {
      __asm__ volatile("" : "+x"(u));
      a = _mm_add_epi16(a, _mm_maddubs_epi16(u, s));
    } sum = _mm_add_epi32(sum, _mm_madd_epi16(a, s)))
EDGECV_PEAK_FUNCTION(f32_128, "sse4.1", __m128, _mm_set1_ps, _mm_setzero_ps,
                     sum = _mm_add_ps(sum, _mm_mul_ps(u, s)))

EDGECV_PEAK_FUNCTION(dot4_avx512, "avx512vnni,avx512vl", __m256i, _mm256_set1_epi8,
                     _mm256_setzero_si256, sum = _mm256_dpbusd_epi32(sum, u, s))
#if defined(__GNUC__) && __GNUC__ >= 11
EDGECV_PEAK_FUNCTION(dot4_avx, "avxvnni", __m256i, _mm256_set1_epi8, _mm256_setzero_si256,
                     sum = _mm256_dpbusd_avx_epi32(sum, u, s))
#else
void dot4_avx() {}
#endif

double rate(int macs, void (*loop)()) {
  return best_rate(static_cast<double>(macs) * kChains * kSteps, loop);
}

#endif  // __x86_64__

}  // namespace

Peaks measure_peaks(uint32_t isa) {
  Peaks peaks = {0, 0, 0, 0, 0, 0, copy_rate()};
#if defined(__x86_64__)
  using namespace edgecv::kernels;
  if ((isa & kIsaAvx2) != 0) {
    peaks.wide = rate(16, wide256);
    peaks.sum2 = rate(32, sum2_256);
    peaks.sum4 = rate(64, sum4_256);
    peaks.sum8 = rate(128, sum8_256);
    peaks.f32 = rate(8, f32_256);
  } else if ((isa & kIsaSse41) != 0) {
    peaks.wide = rate(8, wide128);
    peaks.sum2 = rate(16, sum2_128);
    peaks.sum4 = rate(32, sum4_128);
    peaks.sum8 = rate(64, sum8_128);
    peaks.f32 = rate(4, f32_128);
  }
  if ((isa & kIsaAvx512Vnni) != 0) {
    peaks.dot4 = rate(32, dot4_avx512);
  } else if ((isa & kIsaAvxVnni) != 0) {
    peaks.dot4 = rate(32, dot4_avx);
  }
#else
  (void)isa;
#endif
  return peaks;
}

}  // namespace edgecv_bench
