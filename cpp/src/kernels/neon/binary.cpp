#include "kernels/neon/simd.h"
// The vocabulary above comes before the code written in it.
#include "kernels/simd/binary.h"

namespace edgecv::kernels::neon {

extern const Kernel binary_s8_x16 = {
    "binary_s8_x16__neon", EDGECV_ISA_NAME, Family::kBinaryS8, kIsaNeeds,
    binary_supports,       nullptr,         nullptr,           nullptr,
    binary_items,          binary_run,
};

}  // namespace edgecv::kernels::neon
