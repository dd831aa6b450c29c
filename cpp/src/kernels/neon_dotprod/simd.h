// NEON with the dot product of ARMv8.2: dense layers alone, everything else is the neon folder's.
#ifndef EDGECV_KERNELS_NEON_DOTPROD_SIMD_H_
#define EDGECV_KERNELS_NEON_DOTPROD_SIMD_H_

#define EDGECV_ISA neon_dotprod
#include "kernels/neon/vec_neon.h"

namespace edgecv::kernels::neon_dotprod {
namespace {

constexpr uint32_t kIsaNeeds = kIsaNeon | kIsaNeonDotprod;

}  // namespace
}  // namespace edgecv::kernels::neon_dotprod

#endif  // EDGECV_KERNELS_NEON_DOTPROD_SIMD_H_
