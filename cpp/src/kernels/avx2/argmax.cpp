#include "kernels/avx2/simd.h"
// The vocabulary above comes before the code written in it.
#include "kernels/simd/argmax.h"

namespace edgecv::kernels::avx2 {

extern const Kernel argmax_s8_x16 = {
    "argmax_s8_x16__avx2",
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

}  // namespace edgecv::kernels::avx2
