// What vec128.h and vec256.h share: helpers on bytes, counts and single 128-bit registers.
#ifndef EDGECV_KERNELS_X86_VEC_COMMON_H_
#define EDGECV_KERNELS_X86_VEC_COMMON_H_

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/kernel.h"

#ifndef EDGECV_ISA
#error "include the instruction set's simd.h first"
#endif
#define EDGECV_ISA_STRING_OF(name) #name
#define EDGECV_ISA_STRING(name) EDGECV_ISA_STRING_OF(name)
// The folder's name as a string literal: joins a kernel's printed name.
#define EDGECV_ISA_NAME EDGECV_ISA_STRING(EDGECV_ISA)

#define EDGECV_INLINE inline __attribute__((always_inline))

namespace edgecv::kernels::EDGECV_ISA {
namespace {

// unroll<n>(f) calls f(Index<0>()) ... f(Index<n - 1>()). Register tiles are arrays indexed by such
// constants only: one index that is still a variable when the compiler splits arrays into registers
// leaves the whole tile in memory.
template <int kValue>
struct Index {
  EDGECV_INLINE constexpr operator int() const { return kValue; }
};

template <int kCount, typename Function>
EDGECV_INLINE void unroll(const Function& f) {
  if constexpr (kCount > 0) {
    unroll<kCount - 1>(f);
    f(Index<kCount - 1>());
  }
}

inline int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t max_of(int64_t a, int64_t b) { return a > b ? a : b; }
inline int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t round_up(int64_t a, int64_t b) { return div_up(a, b) * b; }

inline __m128i load128(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
inline __m128i load64(const void* p) { return _mm_loadl_epi64(static_cast<const __m128i*>(p)); }
inline void store128(void* p, __m128i v) { _mm_storeu_si128(static_cast<__m128i*>(p), v); }
inline void store64(void* p, __m128i v) { _mm_storel_epi64(static_cast<__m128i*>(p), v); }
inline void store_high64(void* p, __m128i v) {
  _mm_storeh_pi(static_cast<__m64*>(p), _mm_castsi128_ps(v));
}
inline int32_t load_s32(const void* p) {
  int32_t v;
  memcpy(&v, p, sizeof v);
  return v;
}
inline __m128i load32(const void* p) { return _mm_cvtsi32_si128(load_s32(p)); }
inline void store32(void* p, __m128i v) {
  const int32_t low = _mm_cvtsi128_si32(v);
  memcpy(p, &low, sizeof low);
}

// The first `count` <= 16 bytes at p; the other lanes are 0. Touches no byte beyond p + count.
inline __m128i load_tail(const void* p, int64_t count) {
  alignas(16) uint8_t bytes[16] = {0};
  memcpy(bytes, p, static_cast<size_t>(count));
  return load128(bytes);
}

inline void store_tail(void* p, __m128i v, int64_t count) {
  alignas(16) uint8_t bytes[16];
  store128(bytes, v);
  memcpy(p, bytes, static_cast<size_t>(count));
}

inline void fill_words(int16_t* out, int16_t value, int64_t count) {
  for (int64_t i = 0; i < count; ++i) out[i] = value;
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_X86_VEC_COMMON_H_
