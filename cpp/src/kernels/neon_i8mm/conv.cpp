// Dense s8 convolution and fully connected layers by smmla.
#include "kernels/neon_i8mm/simd.h"
// The tile, then what runs it.
#include "kernels/neon/tile_mmla.h"
//
#include "kernels/neon/dense.h"

namespace edgecv::kernels::neon_i8mm {

extern const Kernel conv_s8_6x16 = {
    "conv_s8_6x16__neon_i8mm", EDGECV_ISA_NAME, Family::kConvS8,     kIsaNeeds,   nullptr,
    dense_packed_bytes,        dense_pack,      dense_scratch_bytes, dense_items, dense_run,
};

}  // namespace edgecv::kernels::neon_i8mm
