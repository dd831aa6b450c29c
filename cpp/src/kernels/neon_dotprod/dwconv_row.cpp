#include "kernels/neon_dotprod/simd.h"
// The vocabulary above comes before the code written in it.
// How sums are made, then what makes rows of them.
#include "kernels/neon/dwconv_dot.h"
//
#include "kernels/neon/dwconv_tile.h"

namespace edgecv::kernels::neon_dotprod {

extern const Kernel dwconv_s8_3x3_c16 = {
    "dwconv_s8_3x3_c16__" EDGECV_ISA_NAME,
    EDGECV_ISA_NAME,
    Family::kConvS8,
    kIsaNeeds,
    row_supports<3>,
    tile_packed_bytes<3>,
    tile_pack<3>,
    row_scratch_bytes,
    row_work_items,
    row_run<3>,
};

}  // namespace edgecv::kernels::neon_dotprod
