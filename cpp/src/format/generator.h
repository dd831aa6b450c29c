// The generator of golden inputs (docs/format.md, "Golden inputs"): splitmix64, the same numbers
// everywhere.
#ifndef EDGECV_FORMAT_GENERATOR_H_
#define EDGECV_FORMAT_GENERATOR_H_

#include <stddef.h>
#include <stdint.h>

#include "format/layout.h"

namespace edgecv::format {

// The i-th 64-bit word (i = 0, 1, ...) of the stream of `seed`.
uint64_t generator_word(uint64_t seed, uint64_t i);

// Fills `count` elements. The input with index i (of the graph's inputs, or of the op's input list)
// has seed + i.
//   s8:  element e is byte e % 8 (byte 0 the low one) of word e / 8
//   s32: element e is the low 32 bits of word e
//   f32: element e is (word e >> 40) * 2^-22 - 2, in [-2, 2)
void generate(uint64_t seed, Dtype dtype, int64_t count, void* out);

}  // namespace edgecv::format

#endif  // EDGECV_FORMAT_GENERATOR_H_
