// Dense s8 convolution and fully connected layers by sdot.
#include "kernels/neon_dotprod/simd.h"
// The tile, then what runs it.
#include "kernels/neon/tile_dot.h"
//
#include "kernels/neon/dense.h"

namespace edgecv::kernels::neon_dotprod {

extern const Kernel conv_s8_6x16 = {
    "conv_s8_6x16__neon_dotprod", EDGECV_ISA_NAME, Family::kConvS8,     kIsaNeeds,   nullptr,
    dense_packed_bytes,           dense_pack,      dense_scratch_bytes, dense_items, dense_run,
};

}  // namespace edgecv::kernels::neon_dotprod
