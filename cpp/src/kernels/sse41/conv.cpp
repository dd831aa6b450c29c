// Dense s8 convolution and fully connected layers by SSE4.1.
#include "kernels/sse41/simd.h"

namespace edgecv::kernels::sse41 {
namespace {
constexpr bool kHasDot4 = false;
}  // namespace
}  // namespace edgecv::kernels::sse41

#include "kernels/x86/conv_cost.h"

namespace edgecv::kernels::sse41 {

extern const Kernel conv_s8_2x16 = {
    "conv_s8_2x16__sse41",
    EDGECV_ISA_NAME,
    Family::kConvS8,
    kIsaNeeds,
    nullptr,
    conv_packed_bytes,
    conv_pack,
    conv_scratch_bytes,
    conv_work_items,
    conv_run,
    conv_cost,
};

}  // namespace edgecv::kernels::sse41
