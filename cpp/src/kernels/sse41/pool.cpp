#include "kernels/sse41/simd.h"
// The vocabulary above comes before the code written in it.
#include "kernels/simd/pool.h"

namespace edgecv::kernels::sse41 {

extern const Kernel pool_s8_c16 = {
    "pool_s8_c16__sse41",
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

}  // namespace edgecv::kernels::sse41
