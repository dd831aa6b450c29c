#include "kernels/registry.h"

namespace edgecv::kernels {

#define EDGECV_KERNEL(isa, symbol) \
  namespace isa {                  \
  extern const Kernel symbol;      \
  }
#include "kernels/kernel_list.inc"
#undef EDGECV_KERNEL

namespace {

const Kernel* const kTable[] = {
#define EDGECV_KERNEL(isa, symbol) &isa::symbol,
#include "kernels/kernel_list.inc"
#undef EDGECV_KERNEL
};

const char* const kFamilyNames[] = {
    "conv_s8",    "conv_f32",       "conv_transpose_s8", "conv_transpose_f32", "matmul_s8",
    "matmul_f32", "binary_s8",      "binary_f32",        "lookup_s8",          "unary_f32",
    "prelu_s8",   "prelu_f32",      "quantize",          "dequantize",         "pool_s8",
    "pool_f32",   "reduce_mean_s8", "reduce_mean_f32",   "argmax_s8",          "argmax_f32",
    "softmax_s8", "softmax_f32",    "layer_norm_s8",     "layer_norm_f32",     "resize_s8",
    "resize_f32", "move",
};
static_assert(sizeof(kFamilyNames) / sizeof(kFamilyNames[0]) == static_cast<size_t>(Family::kCount),
              "one name a family");

}  // namespace

size_t kernel_count() { return sizeof(kTable) / sizeof(kTable[0]); }
const Kernel& kernel_at(size_t index) { return *kTable[index]; }
const char* family_name(Family family) { return kFamilyNames[static_cast<size_t>(family)]; }

const Kernel* choose_kernel(Family family, const void* problem, uint32_t isa_mask) {
  const Kernel* best = nullptr;
  double best_cost = 0;
  for (const Kernel* kernel : kTable) {
    if (kernel->family != family || (kernel->needs & ~isa_mask) != 0) continue;
    if (best != nullptr && (best->cost == nullptr || kernel->cost == nullptr)) continue;
    if (kernel->supports != nullptr && !kernel->supports(problem)) continue;
    const double cost = kernel->cost != nullptr ? kernel->cost(problem) : 0;
    if (best != nullptr && cost >= best_cost) continue;
    best = kernel;
    best_cost = cost;
  }
  return best;
}

}  // namespace edgecv::kernels
