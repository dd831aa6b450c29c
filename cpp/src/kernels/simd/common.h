// What code over vectors shares whatever the instruction set: names, unrolled loops, counts. The
// words on vectors themselves are in the vocabularies: x86/vec128.h, x86/vec256.h, neon/vec_neon.h.
#ifndef EDGECV_KERNELS_SIMD_COMMON_H_
#define EDGECV_KERNELS_SIMD_COMMON_H_

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

inline int32_t load_s32(const void* p) {
  int32_t v;
  memcpy(&v, p, sizeof v);
  return v;
}

inline void fill_words(int16_t* out, int16_t value, int64_t count) {
  for (int64_t i = 0; i < count; ++i) out[i] = value;
}

}  // namespace
}  // namespace edgecv::kernels::EDGECV_ISA

#endif  // EDGECV_KERNELS_SIMD_COMMON_H_
