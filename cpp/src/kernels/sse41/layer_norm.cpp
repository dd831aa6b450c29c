#include "kernels/sse41/simd.h"
// The vocabulary above comes before the code written in it.
#include "kernels/simd/layer_norm.h"

namespace edgecv::kernels::sse41 {

extern const Kernel layer_norm_s8_x4 = {
    "layer_norm_s8_x4__sse41",
    EDGECV_ISA_NAME,
    Family::kLayerNormS8,
    kIsaNeeds,
    norm_supports,
    nullptr,
    nullptr,
    nullptr,
    norm_items,
    norm_run,
};

}  // namespace edgecv::kernels::sse41
