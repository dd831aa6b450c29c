#include "kernels/avx2/simd.h"
// The vocabulary above comes before the code written in it.
#include "kernels/simd/resize.h"

namespace edgecv::kernels::avx2 {

extern const Kernel resize_s8_c16 = {
    "resize_s8_c16__avx2",
    EDGECV_ISA_NAME,
    Family::kResizeS8,
    kIsaNeeds,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    resize_items,
    resize_run,
};

}  // namespace edgecv::kernels::avx2
