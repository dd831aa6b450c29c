// SSE4.1 (and SSSE3 below it): 128-bit vectors.
#ifndef EDGECV_KERNELS_SSE41_SIMD_H_
#define EDGECV_KERNELS_SSE41_SIMD_H_

#define EDGECV_ISA sse41
#include "kernels/x86/vec128.h"

namespace edgecv::kernels::sse41 {
namespace {

constexpr uint32_t kIsaNeeds = kIsaSse41;

}  // namespace
}  // namespace edgecv::kernels::sse41

#endif  // EDGECV_KERNELS_SSE41_SIMD_H_
