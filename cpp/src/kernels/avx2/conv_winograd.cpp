#include "kernels/avx2/simd.h"
// The vocabulary above comes before the code written in it.
#include "kernels/x86/conv_winograd.h"

namespace edgecv::kernels::avx2 {

extern const Kernel conv_s8_winograd_3x3_4x24 = {
    "conv_s8_winograd_3x3_4x24__avx2",
    EDGECV_ISA_NAME,
    Family::kConvS8,
    kIsaNeeds,
    winograd_supports,
    winograd_packed_bytes,
    winograd_pack,
    winograd_scratch_bytes,
    winograd_items,
    winograd_run,
    winograd_cost,
};

}  // namespace edgecv::kernels::avx2
