#include "kernels/avx2/simd.h"
// The vocabulary above comes before the code written in it.
#include "kernels/simd/softmax.h"

namespace edgecv::kernels::avx2 {

extern const Kernel softmax_s8_x8 = {
    "softmax_s8_x8__avx2",
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

}  // namespace edgecv::kernels::avx2
