// Where the activations of a session lie.
#ifndef EDGECV_RUNTIME_LAYOUT_H_
#define EDGECV_RUNTIME_LAYOUT_H_

#include <stdint.h>

#include "base/array.h"
#include "base/status.h"
#include "format/reader.h"

namespace edgecv::runtime {

struct Plan;

// Where a tensor lives: constants in the file, activations in the arena.
struct TensorPlace {
  const uint8_t* constant;  // null for activations
  int64_t offset;  // in the arena; -1: constant, nothing writes and reads it, or inside a chain
};

struct Layout {
  explicit Layout(const Allocator& allocator) : places(allocator) {}
  Array<TensorPlace> places;  // by tensor id
  uint64_t arena_bytes = 0;
  bool chains = false;    // tensors inside chains have no memory: their steps run as chains
  bool keep_all = false;  // every tensor has memory of its own
};

// Places every activation of a plan whose steps, chains and roots are there. Lifetimes are in
// steps: graph inputs begin before the first step, graph outputs end after the last, and the steps
// of a chain count as one. kLimit when activations, staging area and scratch of a session pass
// limits.arena_bytes.
Status make_layout(const format::ParsedModel& model, const Plan& plan, bool chains, bool keep_all,
                   const format::Limits& limits, const Allocator& allocator, Layout* layout,
                   Error* error);

}  // namespace edgecv::runtime

#endif  // EDGECV_RUNTIME_LAYOUT_H_
