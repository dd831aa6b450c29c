// What this machine can do at most on one core, measured by loops that stay in registers (sums) or
// in the second-level cache (copies).
#ifndef EDGECV_BENCHMARKS_KERNELS_PEAKS_H_
#define EDGECV_BENCHMARKS_KERNELS_PEAKS_H_

#include <stdint.h>

namespace edgecv_bench {

// GMAC/s, 0 where there is no such instruction: s8 products widened to 16 bits; u8 x s8 products
// of which 2, 4 or 8 are summed in 16 bits; four products summed in 32 bits at once (VNNI); floats.
struct Peaks {
  double wide, sum2, sum4, sum8, dot4, f32;
  double copy;  // GB/s, read and written bytes together
};

// Of the best instruction set in `isa` (IsaBits).
Peaks measure_peaks(uint32_t isa);

}  // namespace edgecv_bench

#endif  // EDGECV_BENCHMARKS_KERNELS_PEAKS_H_
