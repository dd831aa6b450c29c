// The plan of a model on this machine: which kernel does each part of each op, weights packed for
// it, which steps run as chains, every activation placed. Immutable once made; all sessions of a
// model share it.
#ifndef EDGECV_RUNTIME_PLAN_H_
#define EDGECV_RUNTIME_PLAN_H_

#include <stdint.h>

#include "base/allocator.h"
#include "base/array.h"
#include "base/status.h"
#include "format/reader.h"
#include "format/source.h"
#include "kernels/registry.h"
#include "ops/op.h"
#include "runtime/chain.h"
#include "runtime/isa.h"
#include "runtime/layout.h"
#include "runtime/port_plan.h"

namespace edgecv::runtime {

enum class ChainMode : int32_t {
  kAuto,  // where it is worth it
  kOff,
  kAll,  // wherever it is possible
};

struct PlanOptions {
  int32_t threads = 0;        // of one run; 0: all CPUs of the affinity mask
  const char* isa = nullptr;  // see choose_isa
  bool keep_all = false;      // every tensor its own memory; no chains, no views but reshapes
  bool views = true;          // false: concats and slices copy
  ChainMode chains = ChainMode::kAuto;
  int32_t stripe = 0;  // of every chain; 0: chosen for each
  // false: convolutions take any value of s8, whatever the file proves about it (runtime/bounds.h)
  bool bounds = true;
  // Where the model's constants are; what packing has read of it is given back to the system.
  const format::Source* source = nullptr;
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
  int32_t chain;  // in Plan::chains, -1: none
};

struct Plan {
  explicit Plan(const Allocator& allocator)
      : steps(allocator),
        first_step(allocator),
        views(allocator),
        roots(allocator),
        chains(allocator),
        links(allocator),
        ports(allocator),
        packed(allocator),
        layout(allocator) {}

  IsaChoice isa = {nullptr, 0};
  int32_t threads = 1;
  Array<Step> steps;
  Array<uint32_t> first_step;  // by op, one more at the end
  Array<ops::View> views;      // by tensor
  Array<uint32_t> roots;       // by tensor: whose memory it shares; itself when it has its own
  Array<Chain> chains;         // in the order of their steps
  Array<ChainLink> links;
  Array<PortPlan> ports;  // as ParsedModel::ports
  Array<uint8_t> packed;
  Layout layout;               // of a session, unless it asks for one of its own
  uint64_t staging_bytes = 0;  // for ports, at the end of the arena's block
  uint64_t scratch_bytes = 0;  // a thread, multiple of kAlignment; line buffers included
  uint64_t macs = 0;
};

// `model` must outlive the plan. kLimit when the arena is above limits.arena_bytes.
Status make_plan(const format::ParsedModel& model, const PlanOptions& options,
                 const format::Limits& limits, const Allocator& allocator, Plan* plan,
                 Error* error);

}  // namespace edgecv::runtime

#endif  // EDGECV_RUNTIME_PLAN_H_
