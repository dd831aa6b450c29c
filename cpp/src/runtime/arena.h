// Placement of activations in one block of memory: tensors that are never alive together may share
// bytes.
#ifndef EDGECV_RUNTIME_ARENA_H_
#define EDGECV_RUNTIME_ARENA_H_

#include <stdint.h>

#include "base/allocator.h"
#include "base/span.h"
#include "base/status.h"

namespace edgecv::runtime {

struct ArenaItem {
  uint64_t bytes;
  int32_t first;  // alive in steps first..last, both included
  int32_t last;
  uint64_t offset;  // result: a multiple of kAlignment
};

// Greedy by size: the largest item first, each at the lowest gap that holds it. With share == false
// nothing overlaps. *total is the size of the block. kLimit when the sizes add up past 2^62.
Status place_arena(Span<ArenaItem> items, bool share, const Allocator& allocator, uint64_t* total,
                   Error* error);

}  // namespace edgecv::runtime

#endif  // EDGECV_RUNTIME_ARENA_H_
