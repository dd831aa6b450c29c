// Which steps run as chains, and in stripes of how many rows.
#ifndef EDGECV_RUNTIME_CHAIN_PLAN_H_
#define EDGECV_RUNTIME_CHAIN_PLAN_H_

#include "runtime/plan.h"

namespace edgecv::runtime {

// `option` as in edgecv_load_options: 1 auto, 2 off, 3 all; 0: what the environment variable
// EDGECV_CHAINS says, or auto. kInvalidArgument for anything else.
Status choose_chain_mode(int32_t option, ChainMode* mode, Error* error);

// Cuts the steps of a plan, whose kernels are chosen, into chains: fills chains, links and
// Step::chain, and raises scratch_bytes to what kernels and line buffers need together.
Status plan_chains(const format::ParsedModel& model, const PlanOptions& options,
                   const Allocator& allocator, Plan* plan, Error* error);

}  // namespace edgecv::runtime

#endif  // EDGECV_RUNTIME_CHAIN_PLAN_H_
