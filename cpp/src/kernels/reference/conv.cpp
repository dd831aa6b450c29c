#include "kernels/reference/conv_f32.h"
#include "kernels/reference/conv_s8.h"

namespace edgecv::kernels::reference {

extern const Kernel conv_s8 = {"conv_s8_any__reference",
                               "reference",
                               Family::kConvS8,
                               kIsaBaseline,
                               nullptr,
                               nullptr,
                               nullptr,
                               nullptr,
                               conv_s8_items,
                               conv_s8_run<Direction::kForward>};

extern const Kernel conv_f32 = {"conv_f32_any__reference",
                                "reference",
                                Family::kConvF32,
                                kIsaBaseline,
                                nullptr,
                                conv_f32_packed_bytes,
                                conv_f32_pack,
                                conv_f32_scratch_bytes,
                                conv_f32_items,
                                conv_f32_run<Direction::kForward>};

}  // namespace edgecv::kernels::reference
