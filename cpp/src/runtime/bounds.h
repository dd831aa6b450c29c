// What is proven about the values of s8 tensors: kernels may use forms that are exact in narrow
// ranges alone (7-bit activations, the output of a ReLU).
#ifndef EDGECV_RUNTIME_BOUNDS_H_
#define EDGECV_RUNTIME_BOUNDS_H_

#include <stdint.h>

#include "base/array.h"
#include "base/span.h"
#include "base/status.h"
#include "format/reader.h"
#include "ops/op.h"

namespace edgecv::runtime {

struct Bounds {
  int32_t lo, hi;  // every value v of the tensor is in lo <= v <= hi; of s8 tensors alone
};

// Follows the bounds through `calls`, those of the whole file in order. `roots` names for each
// tensor the one whose memory it shares (itself when it has its own). Graph inputs and constants
// are taken as full: the caller writes the former, and the latter may change under a mapping.
// Fills (*bounds)[tensor] for every tensor.
Status find_bounds(const format::ParsedModel& model, Span<const ops::Call> calls,
                   Span<const uint32_t> roots, Array<Bounds>* bounds, Error* error);

// Writes in_lo and in_hi of a convolution's problem: what holds every value of its input and the
// zero point that stands for the padding. Other calls are left alone.
void set_input_bounds(const Array<Bounds>& bounds, ops::Call* call);

}  // namespace edgecv::runtime

#endif  // EDGECV_RUNTIME_BOUNDS_H_
