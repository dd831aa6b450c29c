#include "kernels/avx2/simd.h"
// The vocabulary above comes before the code written in it.
#include "kernels/simd/reduce.h"

namespace edgecv::kernels::avx2 {

extern const Kernel reduce_mean_s8_c16 = {
    "reduce_mean_s8_c16__avx2",
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

}  // namespace edgecv::kernels::avx2
