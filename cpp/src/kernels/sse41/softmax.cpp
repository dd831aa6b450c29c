#include "kernels/sse41/simd.h"
// The vocabulary above comes before the code written in it.
#include "kernels/simd/softmax.h"

namespace edgecv::kernels::sse41 {

extern const Kernel softmax_s8_x4 = {
    "softmax_s8_x4__sse41",
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

}  // namespace edgecv::kernels::sse41
