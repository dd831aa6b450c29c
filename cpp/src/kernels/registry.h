// The table of all kernels of this build, best first within a family, the reference row last.
#ifndef EDGECV_KERNELS_REGISTRY_H_
#define EDGECV_KERNELS_REGISTRY_H_

#include "kernels/kernel.h"

namespace edgecv::kernels {

size_t kernel_count();
const Kernel& kernel_at(size_t index);
const char* family_name(Family family);

// Of the rows of `family` whose needs are in `isa_mask` and that take the problem: the first, or a
// later one whose cost() is lower where both have one. Never null, because the reference row needs
// nothing and takes everything.
const Kernel* choose_kernel(Family family, const void* problem, uint32_t isa_mask);

}  // namespace edgecv::kernels

#endif  // EDGECV_KERNELS_REGISTRY_H_
