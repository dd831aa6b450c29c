// AVX2 without FMA: 256-bit vectors.
#ifndef EDGECV_KERNELS_AVX2_SIMD_H_
#define EDGECV_KERNELS_AVX2_SIMD_H_

#define EDGECV_ISA avx2
#include "kernels/x86/vec256.h"

namespace edgecv::kernels::avx2 {
namespace {

constexpr uint32_t kIsaNeeds = kIsaAvx2;

}  // namespace
}  // namespace edgecv::kernels::avx2

#endif  // EDGECV_KERNELS_AVX2_SIMD_H_
