#include "kernels/neon/simd.h"
// The vocabulary above comes before the code written in it.
#include "kernels/simd/unary.h"

namespace edgecv::kernels::neon {

extern const Kernel lookup_s8_x16 = {
    "lookup_s8_x16__neon",
    EDGECV_ISA_NAME,
    Family::kLookupS8,
    kIsaNeeds,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    unary_items,
    lookup_run,
};

extern const Kernel quantize_x16 = {
    "quantize_f32_s8_x16__neon",
    EDGECV_ISA_NAME,
    Family::kQuantize,
    kIsaNeeds,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    unary_items,
    quantize_run,
};

extern const Kernel dequantize_x4 = {
    "dequantize_s8_f32_x4__neon",
    EDGECV_ISA_NAME,
    Family::kDequantize,
    kIsaNeeds,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    unary_items,
    dequantize_run,
};

extern const Kernel prelu_s8_x4 = {
    "prelu_s8_x4__neon",
    EDGECV_ISA_NAME,
    Family::kPReluS8,
    kIsaNeeds,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    prelu_items,
    prelu_run,
};

}  // namespace edgecv::kernels::neon
