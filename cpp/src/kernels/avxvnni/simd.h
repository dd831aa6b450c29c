// AVX-VNNI: AVX2 and vpdpbusd in VEX form.
#ifndef EDGECV_KERNELS_AVXVNNI_SIMD_H_
#define EDGECV_KERNELS_AVXVNNI_SIMD_H_

#define EDGECV_ISA avxvnni
#include "kernels/x86/vec256.h"

namespace edgecv::kernels::avxvnni {
namespace {

constexpr uint32_t kIsaNeeds = kIsaAvx2 | kIsaAvxVnni;

// sum += products of four u8 by four s8, exactly.
constexpr bool kHasDot4 = true;
EDGECV_INLINE void dot4_to(Vec& sum, Vec u8, Vec s8) { sum = _mm256_dpbusd_avx_epi32(sum, u8, s8); }

}  // namespace
}  // namespace edgecv::kernels::avxvnni

#endif  // EDGECV_KERNELS_AVXVNNI_SIMD_H_
