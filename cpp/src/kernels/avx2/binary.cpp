#include "kernels/avx2/simd.h"
// The vocabulary above comes before the code written in it.
#include "kernels/simd/binary.h"

namespace edgecv::kernels::avx2 {

extern const Kernel binary_s8_x32 = {
    "binary_s8_x32__avx2", EDGECV_ISA_NAME, Family::kBinaryS8, kIsaNeeds,
    binary_supports,       nullptr,         nullptr,           nullptr,
    binary_items,          binary_run,
};

}  // namespace edgecv::kernels::avx2
