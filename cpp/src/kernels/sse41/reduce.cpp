#include "kernels/sse41/simd.h"
// The vocabulary above comes before the code written in it.
#include "kernels/simd/reduce.h"

namespace edgecv::kernels::sse41 {

extern const Kernel reduce_mean_s8_c8 = {
    "reduce_mean_s8_c8__sse41",
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

}  // namespace edgecv::kernels::sse41
