#include "kernels/neon/simd.h"
// The vocabulary above comes before the code written in it.
// How sums are made, then what makes rows of them.
#include "kernels/neon/dwconv_mla.h"
//
#include "kernels/simd/dwconv_block.h"
//
#include "kernels/simd/dwconv_row.h"

namespace edgecv::kernels::neon {

extern const Kernel dwconv_s8_3x3_c8 = {
    "dwconv_s8_3x3_c8__" EDGECV_ISA_NAME,
    EDGECV_ISA_NAME,
    Family::kConvS8,
    kIsaNeeds,
    row_supports<3>,
    row_packed_bytes<3>,
    row_pack<3>,
    row_scratch_bytes,
    row_work_items,
    row_run<3>,
};

extern const Kernel dwconv_s8_5x5_c8 = {
    "dwconv_s8_5x5_c8__" EDGECV_ISA_NAME,
    EDGECV_ISA_NAME,
    Family::kConvS8,
    kIsaNeeds,
    row_supports<5>,
    row_packed_bytes<5>,
    row_pack<5>,
    row_scratch_bytes,
    row_work_items,
    row_run<5>,
};

extern const Kernel dwconv_s8_7x7_c8 = {
    "dwconv_s8_7x7_c8__" EDGECV_ISA_NAME,
    EDGECV_ISA_NAME,
    Family::kConvS8,
    kIsaNeeds,
    row_supports<7>,
    row_packed_bytes<7>,
    row_pack<7>,
    row_scratch_bytes,
    row_work_items,
    row_run<7>,
};

}  // namespace edgecv::kernels::neon
