#include "kernels/neon/simd.h"
// The vocabulary above comes before the code written in it.
#include "kernels/simd/resize.h"

namespace edgecv::kernels::neon {

extern const Kernel resize_s8_c8 = {
    "resize_s8_c8__neon",
    EDGECV_ISA_NAME,
    Family::kResizeS8,
    kIsaNeeds,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    resize_items,
    resize_run,
};

}  // namespace edgecv::kernels::neon
