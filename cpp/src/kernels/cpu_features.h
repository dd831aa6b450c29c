// What this CPU can run, and the names by which an instruction set is forced.
#ifndef EDGECV_KERNELS_CPU_FEATURES_H_
#define EDGECV_KERNELS_CPU_FEATURES_H_

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

namespace edgecv::kernels {

// IsaBits (kernel.h) of the CPU that runs this, as far as the operating system saves their
// registers.
uint32_t detect_isa_bits();

// The kernel folders of kernel.h's bits by name: "reference", "sse41", "avx2", "avxvnni",
// "avx512vnni", "neon", "neon_dotprod", "neon_i8mm". `index` counts from 0; null beyond the last
// one.
const char* isa_name(size_t index);

// The bits that kernels may use when `name` is forced (EDGECV_FORCE_ISA): those of that instruction
// set and of all it includes, and of FMA, which is no level of its own, from avx2 on where the CPU
// has it. kInvalidArgument: a name that isa_name does not list, a CPU
// (`available`, from detect_isa_bits) that lacks one of the bits, or a build without kernels of
// that name.
Status isa_mask_for(const char* name, uint32_t available, uint32_t* mask, Error* error);

// Writes the CPU's model as text ("AMD EPYC 7B13", "Raspberry Pi 4 Model B Rev 1.4"), "unknown"
// when nothing tells it; cut to size - 1 characters.
void describe_cpu(char* text, size_t size);

}  // namespace edgecv::kernels

#endif  // EDGECV_KERNELS_CPU_FEATURES_H_
