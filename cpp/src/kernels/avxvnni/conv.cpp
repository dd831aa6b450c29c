// Dense s8 convolution and fully connected layers by AVX-VNNI.
#include "kernels/avxvnni/simd.h"
#include "kernels/x86/conv_cost.h"

namespace edgecv::kernels::avxvnni {

extern const Kernel conv_s8_3x32 = {
    "conv_s8_3x32__avxvnni",
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

}  // namespace edgecv::kernels::avxvnni
