#include "kernels/sse41/simd.h"

namespace edgecv::kernels::sse41 {
namespace {
constexpr bool kHasDot4 = false;
}  // namespace
}  // namespace edgecv::kernels::sse41

#include "kernels/x86/matmul.h"

namespace edgecv::kernels::sse41 {

extern const Kernel matmul_s8_4x8 = {
    "matmul_s8_4x8__sse41",
    EDGECV_ISA_NAME,
    Family::kMatMulS8,
    kIsaNeeds,
    nullptr,
    nullptr,
    nullptr,
    matmul_scratch_bytes,
    matmul_items,
    matmul_run,
};

}  // namespace edgecv::kernels::sse41
