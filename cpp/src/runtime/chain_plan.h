// Which steps run as chains, in stripes of how many rows, in how many bands.
#ifndef EDGECV_RUNTIME_CHAIN_PLAN_H_
#define EDGECV_RUNTIME_CHAIN_PLAN_H_

#include "runtime/plan.h"

namespace edgecv::runtime {

// Cuts the steps of a plan, whose kernels are chosen, into chains: fills chains, links and
// Step::chain, and raises scratch_bytes to what kernels and line buffers need together.
Status plan_chains(const format::ParsedModel& model, const PlanOptions& options,
                   const Allocator& allocator, Plan* plan, Error* error);

}  // namespace edgecv::runtime

#endif  // EDGECV_RUNTIME_CHAIN_PLAN_H_
