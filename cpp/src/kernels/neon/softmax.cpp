#include "kernels/neon/simd.h"
// The vocabulary above comes before the code written in it.
#include "kernels/simd/softmax.h"

namespace edgecv::kernels::neon {

extern const Kernel softmax_s8_x4 = {
    "softmax_s8_x4__neon",
    EDGECV_ISA_NAME,
    Family::kSoftmaxS8,
    kIsaNeeds,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    softmax_items,
    softmax_run,
};

}  // namespace edgecv::kernels::neon
