#include "kernels/avx2/simd.h"
// The vocabulary above comes before the code written in it.
#include "kernels/simd/move.h"

namespace edgecv::kernels::avx2 {

extern const Kernel move_tiled = {
    "move_tiled__avx2",
    EDGECV_ISA_NAME,
    Family::kMove,
    kIsaNeeds,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    move_items,
    move_run,
};

}  // namespace edgecv::kernels::avx2
