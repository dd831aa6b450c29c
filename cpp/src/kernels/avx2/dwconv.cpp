#include "kernels/avx2/simd.h"
// The vocabulary above comes before the code written in it.
#include "kernels/simd/dwconv.h"

namespace edgecv::kernels::avx2 {

extern const Kernel dwconv_s8_any_c8 = {
    "dwconv_s8_any_c8__avx2", EDGECV_ISA_NAME, Family::kConvS8,  kIsaNeeds,     is_any,
    dw_packed_bytes,          dw_pack,         dw_scratch_bytes, dw_work_items, run_any,
};

}  // namespace edgecv::kernels::avx2
