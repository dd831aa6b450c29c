#include "kernels/neon/simd.h"
// The vocabulary above comes before the code written in it.
#include "kernels/simd/layer_norm.h"

namespace edgecv::kernels::neon {

extern const Kernel layer_norm_s8_x4 = {
    "layer_norm_s8_x4__neon",
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

}  // namespace edgecv::kernels::neon
