#include "kernels/avx2/simd.h"

namespace edgecv::kernels::avx2 {
namespace {
constexpr bool kHasDot4 = false;
}  // namespace
}  // namespace edgecv::kernels::avx2

#include "kernels/x86/matmul.h"

namespace edgecv::kernels::avx2 {

extern const Kernel matmul_s8_4x16 = {
    "matmul_s8_4x16__avx2",
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

}  // namespace edgecv::kernels::avx2
