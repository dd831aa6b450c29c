#include "kernels/neon/simd.h"
// The vocabulary above comes before the code written in it.
#include "kernels/simd/pool.h"

namespace edgecv::kernels::neon {

extern const Kernel pool_s8_c16 = {
    "pool_s8_c16__neon",
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

}  // namespace edgecv::kernels::neon
