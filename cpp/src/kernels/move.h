// Contract of kMove: copies a strided box of elements; concat, slice, pad and transpose are moves
// (docs/ops.md).
//   out[out_offset + sum i_j * out_stride[j]] = in[in_offset + sum i_j * in_stride[j]]   for every
//   index i in dims
// Offsets and strides are in bytes. With fill != none, the whole output (out_bytes) is first set to
// the fill value.
#ifndef EDGECV_KERNELS_MOVE_H_
#define EDGECV_KERNELS_MOVE_H_

#include "kernels/kernel.h"

namespace edgecv::kernels {

struct MoveProblem {
  int32_t element_bytes;  // 1 or 4; the innermost dim may have been widened to a run: then
                          // element_bytes is the run's
  int32_t rank;           // 1..8
  int32_t dims[8];
  int64_t in_stride[8], out_stride[8];
  int64_t in_offset, out_offset;
  bool fill;  // work is then one item
  int64_t out_bytes;
  uint32_t fill_bits;  // repeated every fill_bytes
  int32_t fill_bytes;  // 1 or 4
};

}  // namespace edgecv::kernels

#endif  // EDGECV_KERNELS_MOVE_H_
