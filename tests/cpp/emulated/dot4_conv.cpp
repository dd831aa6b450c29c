// The rows of the VNNI folders with their one instruction emulated in AVX2, exactly: everything
// else in them is tested on CPUs that lack it.
#define EDGECV_ISA emulated_dot4
#include "kernels/x86/vec256.h"

namespace edgecv::kernels::emulated_dot4 {
namespace {

constexpr uint32_t kIsaNeeds = kIsaAvx2;

constexpr bool kHasDot4 = true;
EDGECV_INLINE void dot4_to(Vec& sum, Vec u8, Vec s8) {
  const Vec even = madd_s16(bit_and(u8, set1_s16(0xFF)), shift_right_s16<8>(shift_left_s16<8>(s8)));
  const Vec odd = madd_s16(shift_right_u16<8>(u8), shift_right_s16<8>(s8));
  sum = add_s32(sum, add_s32(even, odd));
}

}  // namespace
}  // namespace edgecv::kernels::emulated_dot4

#include "kernels/x86/conv_cost.h"

namespace edgecv::kernels::emulated_dot4 {

extern const Kernel conv_s8_3x32 = {
    "conv_s8_3x32__emulated_dot4",
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

}  // namespace edgecv::kernels::emulated_dot4
