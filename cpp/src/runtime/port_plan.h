// A port's way between the caller's memory and the arena.
#ifndef EDGECV_RUNTIME_PORT_PLAN_H_
#define EDGECV_RUNTIME_PORT_PLAN_H_

#include <stdint.h>

#include "base/status.h"
#include "format/reader.h"
#include "kernels/elementwise.h"
#include "kernels/move.h"

namespace edgecv::runtime {

// `move` is null when both layouts are the same memory order, `convert` (quantize or dequantize)
// when the tensor is not s8.
struct PortPlan {
  int64_t elements;
  const kernels::Kernel* move;
  kernels::MoveProblem move_problem;  // input: API layout to stored; output: the other way
  const kernels::Kernel* convert;
  kernels::UnaryProblem convert_problem;
  uint64_t staging_bytes;  // between the two
  uint64_t scratch_bytes;  // of either kernel
};

Status plan_port(const format::ParsedModel& model, const format::PortRecord& record, bool input,
                 uint32_t isa_mask, PortPlan* port, Error* error);

}  // namespace edgecv::runtime

#endif  // EDGECV_RUNTIME_PORT_PLAN_H_
