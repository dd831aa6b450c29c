// Dense s8 convolution and fully connected layers by NEON.
#include "kernels/neon/simd.h"
// The tile, then what runs it.
#include "kernels/neon/tile_smull.h"
//
#include "kernels/neon/dense.h"

namespace edgecv::kernels::neon {

extern const Kernel conv_s8_4x16 = {
    "conv_s8_4x16__neon", EDGECV_ISA_NAME, Family::kConvS8,     kIsaNeeds,   nullptr,
    dense_packed_bytes,   dense_pack,      dense_scratch_bytes, dense_items, dense_run,
};

}  // namespace edgecv::kernels::neon
