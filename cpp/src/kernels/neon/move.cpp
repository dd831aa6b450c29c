#include "kernels/neon/simd.h"
// The vocabulary above comes before the code written in it.
#include "kernels/simd/move.h"

namespace edgecv::kernels::neon {

extern const Kernel move_tiled = {
    "move_tiled__neon",
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

}  // namespace edgecv::kernels::neon
