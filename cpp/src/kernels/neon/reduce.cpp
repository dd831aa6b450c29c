#include "kernels/neon/simd.h"
// The vocabulary above comes before the code written in it.
#include "kernels/simd/reduce.h"

namespace edgecv::kernels::neon {

extern const Kernel reduce_mean_s8_c8 = {
    "reduce_mean_s8_c8__neon",
    EDGECV_ISA_NAME,
    Family::kReduceMeanS8,
    kIsaNeeds,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    mean_items,
    mean_run,
};

}  // namespace edgecv::kernels::neon
