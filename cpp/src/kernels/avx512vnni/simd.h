// AVX-512-VNNI at 256 bits (AVX-512F, BW, VL): clocks stay up, and 32 registers hold a tile.
#ifndef EDGECV_KERNELS_AVX512VNNI_SIMD_H_
#define EDGECV_KERNELS_AVX512VNNI_SIMD_H_

#define EDGECV_ISA avx512vnni
#include "kernels/x86/vec256.h"

namespace edgecv::kernels::avx512vnni {
namespace {

constexpr uint32_t kIsaNeeds = kIsaAvx2 | kIsaAvx512Vnni;

// sum += products of four u8 by four s8, exactly.
constexpr bool kHasDot4 = true;
EDGECV_INLINE void dot4_to(Vec& sum, Vec u8, Vec s8) { sum = _mm256_dpbusd_epi32(sum, u8, s8); }

}  // namespace
}  // namespace edgecv::kernels::avx512vnni

#endif  // EDGECV_KERNELS_AVX512VNNI_SIMD_H_
