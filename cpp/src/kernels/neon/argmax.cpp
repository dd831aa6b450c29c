#include "kernels/neon/simd.h"
// The vocabulary above comes before the code written in it.
#include "kernels/simd/argmax.h"

namespace edgecv::kernels::neon {

extern const Kernel argmax_s8_x16 = {
    "argmax_s8_x16__neon",
    EDGECV_ISA_NAME,
    Family::kArgMaxS8,
    kIsaNeeds,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    argmax_items,
    argmax_run,
};

}  // namespace edgecv::kernels::neon
