#include "kernels/sse41/simd.h"
// The vocabulary above comes before the code written in it.
// How sums are made, what makes rows of them, and for which weights.
#include "kernels/simd/dwconv_bytes.h"
//
#include "kernels/simd/dwconv_bytes_block.h"
//
#include "kernels/simd/dwconv_row.h"
//
#include "kernels/simd/dwconv_bytes_pack.h"

namespace edgecv::kernels::sse41 {

extern const Kernel dwconv_s8_3x3_c16_safe = {
    "dwconv_s8_3x3_c16_safe__" EDGECV_ISA_NAME,
    EDGECV_ISA_NAME,
    Family::kConvS8,
    kIsaNeeds,
    bytes_supports<3>,
    row_packed_bytes<3>,
    bytes_pack<3>,
    row_scratch_bytes,
    row_work_items,
    row_run<3>,
};

extern const Kernel dwconv_s8_5x5_c16_safe = {
    "dwconv_s8_5x5_c16_safe__" EDGECV_ISA_NAME,
    EDGECV_ISA_NAME,
    Family::kConvS8,
    kIsaNeeds,
    bytes_supports<5>,
    row_packed_bytes<5>,
    bytes_pack<5>,
    row_scratch_bytes,
    row_work_items,
    row_run<5>,
};

}  // namespace edgecv::kernels::sse41
