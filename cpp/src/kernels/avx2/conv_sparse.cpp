#include "kernels/avx2/simd.h"
// The vocabulary above comes before the code written in it.
#include "kernels/x86/conv_sparse.h"

namespace edgecv::kernels::avx2 {

extern const Kernel conv_s8_sparse_1x4 = {
    "conv_s8_sparse_1x4__avx2",
    EDGECV_ISA_NAME,
    Family::kConvS8,
    kIsaNeeds,
    sparse_supports,
    sparse_packed_bytes,
    sparse_pack,
    sparse_scratch_bytes,
    sparse_items,
    sparse_run,
    sparse_cost,
};

}  // namespace edgecv::kernels::avx2
