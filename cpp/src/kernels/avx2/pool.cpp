#include "kernels/avx2/simd.h"
// The vocabulary above comes before the code written in it.
#include "kernels/simd/pool.h"

namespace edgecv::kernels::avx2 {

extern const Kernel pool_s8_c32 = {
    "pool_s8_c32__avx2",
    EDGECV_ISA_NAME,
    Family::kPoolS8,
    kIsaNeeds,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    pool_items,
    pool_run,
};

}  // namespace edgecv::kernels::avx2
