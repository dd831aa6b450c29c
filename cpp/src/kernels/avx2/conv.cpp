// Dense s8 convolution and fully connected layers by AVX2.
#include "kernels/avx2/simd.h"

namespace edgecv::kernels::avx2 {
namespace {
constexpr bool kHasDot4 = false;
}  // namespace
}  // namespace edgecv::kernels::avx2

#include "kernels/x86/conv_cost.h"

namespace edgecv::kernels::avx2 {

extern const Kernel conv_s8_2x32 = {
    "conv_s8_2x32__avx2",
    "avx2",
    Family::kConvS8,
    kIsaAvx2,
    nullptr,
    conv_packed_bytes,
    conv_pack,
    conv_scratch_bytes,
    conv_work_items,
    conv_run,
    conv_cost,
};

}  // namespace edgecv::kernels::avx2
