// NEON with the s8 matrix product of ARMv8.6: dense layers alone, everything else is the neon
// folder's.
#ifndef EDGECV_KERNELS_NEON_I8MM_SIMD_H_
#define EDGECV_KERNELS_NEON_I8MM_SIMD_H_

#define EDGECV_ISA neon_i8mm
#include "kernels/neon/vec_neon.h"

namespace edgecv::kernels::neon_i8mm {
namespace {

constexpr uint32_t kIsaNeeds = kIsaNeon | kIsaNeonDotprod | kIsaNeonI8mm;

}  // namespace
}  // namespace edgecv::kernels::neon_i8mm

#endif  // EDGECV_KERNELS_NEON_I8MM_SIMD_H_
