// The plan of a model on this machine: which kernel does each part of each op, weights packed for
// it, every activation placed. Immutable once made; all sessions of a model share it.
#ifndef EDGECV_RUNTIME_PLAN_H_
#define EDGECV_RUNTIME_PLAN_H_

#include <stdint.h>

#include "base/allocator.h"
#include "base/array.h"
#include "base/status.h"
#include "format/reader.h"
#include "kernels/registry.h"
#include "ops/op.h"
#include "runtime/isa.h"

namespace edgecv::runtime {

struct PlanOptions {
  int32_t threads = 0;        // of one run; 0: all CPUs of the affinity mask
  const char* isa = nullptr;  // see choose_isa
  bool keep_all = false;      // every tensor its own memory
};

// Where a tensor lives: constants in the file, activations in the arena.
struct TensorPlace {
  const uint8_t* constant;  // null for activations
  int64_t offset;           // in the arena; -1: constant, or nothing writes and reads it
};

struct Step {
  uint32_t op;
  ops::Call call;
  const kernels::Kernel* kernel;
  uint64_t packed_offset;  // in Plan::packed
  uint64_t packed_bytes;
  uint64_t scratch_bytes;  // a thread
  int64_t items;
  bool parallel;  // worth more than one thread
};

// A port's way between the caller's memory and the arena. `move` is null when both layouts are the
// same memory order, `convert` (quantize or dequantize) when the tensor is not s8.
struct PortPlan {
  int64_t elements;
  const kernels::Kernel* move;
  kernels::MoveProblem move_problem;  // input: API layout to stored; output: the other way
  const kernels::Kernel* convert;
  kernels::UnaryProblem convert_problem;
};

struct Plan {
  explicit Plan(const Allocator& allocator)
      : steps(allocator),
        first_step(allocator),
        places(allocator),
        ports(allocator),
        packed(allocator) {}

  IsaChoice isa = {nullptr, 0};
  int32_t threads = 1;
  bool keep_all = false;
  Array<Step> steps;
  Array<uint32_t> first_step;  // by op, one more at the end
  Array<TensorPlace> places;   // by tensor id
  Array<PortPlan> ports;       // as ParsedModel::ports
  Array<uint8_t> packed;
  uint64_t arena_bytes = 0;
  uint64_t staging_bytes = 0;  // for ports, at the end of the arena's block
  uint64_t scratch_bytes = 0;  // a thread, multiple of kAlignment
  uint64_t macs = 0;
};

// `model` must outlive the plan. kLimit when the arena is above limits.arena_bytes.
Status make_plan(const format::ParsedModel& model, const PlanOptions& options,
                 const format::Limits& limits, const Allocator& allocator, Plan* plan,
                 Error* error);

}  // namespace edgecv::runtime

#endif  // EDGECV_RUNTIME_PLAN_H_
