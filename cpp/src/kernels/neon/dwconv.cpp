#include "kernels/neon/simd.h"
// The vocabulary above comes before the code written in it.
#include "kernels/simd/dwconv.h"

namespace edgecv::kernels::neon {

extern const Kernel dwconv_s8_any_c4 = {
    "dwconv_s8_any_c4__neon", EDGECV_ISA_NAME, Family::kConvS8,  kIsaNeeds,     is_any,
    dw_packed_bytes,          dw_pack,         dw_scratch_bytes, dw_work_items, run_any,
};

}  // namespace edgecv::kernels::neon
