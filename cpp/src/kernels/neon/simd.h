// NEON as ARMv8.0 and ARMv7 have it: 128-bit vectors.
#ifndef EDGECV_KERNELS_NEON_SIMD_H_
#define EDGECV_KERNELS_NEON_SIMD_H_

#define EDGECV_ISA neon
#include "kernels/neon/vec_neon.h"

namespace edgecv::kernels::neon {
namespace {

constexpr uint32_t kIsaNeeds = kIsaNeon;

}  // namespace
}  // namespace edgecv::kernels::neon

#endif  // EDGECV_KERNELS_NEON_SIMD_H_
