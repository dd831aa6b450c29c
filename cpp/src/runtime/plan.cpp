#include "runtime/plan.h"

#include <string.h>

#include "runtime/bounds.h"
#include "runtime/chain_cost.h"
#include "runtime/chain_plan.h"
#include "runtime/thread_pool.h"
#include "runtime/views.h"

namespace edgecv::runtime {
namespace {

using format::ParsedModel;

// A step is shared among threads when it takes about this many ns alone: a fork and join costs 300
// while the workers spin, and every thread has to start the kernel and to fetch what others wrote.
constexpr double kParallelCost = 3000;
// Pages of the file that packing has read are given back about every so many bytes.
constexpr uint64_t kPackedAtATime = 256 << 10;

uint64_t align_up(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

class Planner {
 public:
  Planner(const ParsedModel& model, const PlanOptions& options, const format::Limits& limits,
          const Allocator& allocator, Plan* plan, Error* error)
      : model_(model),
        options_(options),
        limits_(limits),
        allocator_(allocator),
        plan_(*plan),
        error_(error) {}

  Status run() {
    EDGECV_TRY(choose_isa(options_.isa, &plan_.isa, error_));
    plan_.threads = options_.threads > 0 ? options_.threads : available_threads();
    if (plan_.threads > kMaxThreads) plan_.threads = kMaxThreads;
    EDGECV_TRY(lower());
    EDGECV_TRY(choose_kernels());
    EDGECV_TRY(pack());
    EDGECV_TRY(plan_ports());
    if (!options_.keep_all) EDGECV_TRY(plan_chains(model_, options_, allocator_, &plan_, error_));
    plan_.scratch_bytes = align_up(plan_.scratch_bytes);
    return make_layout(model_, plan_, !plan_.chains.empty(), options_.keep_all, limits_, allocator_,
                       &plan_.layout, error_);
  }

 private:
  Status no_memory() { return fail(error_, Status::kOutOfMemory, "no memory for the plan"); }

  // Fills steps, first_step, views and roots.
  Status lower() {
    Array<ops::Call> calls(allocator_);
    Array<uint32_t>& roots = plan_.roots;
    if (!roots.resize(model_.tensors.size()) || !plan_.first_step.resize(model_.ops.size() + 1))
      return no_memory();
    EDGECV_TRY(
        find_views(model_, options_.views && !options_.keep_all, allocator_, &plan_.views, error_));
    for (size_t i = 0; i < roots.size(); ++i) roots[i] = plan_.views[i].root;
    for (uint32_t op = 0; op < model_.ops.size(); ++op) {
      plan_.first_step[op] = static_cast<uint32_t>(calls.size());
      EDGECV_TRY(ops::lower_op(model_, op, plan_.views.data(), &calls, error_));
    }
    plan_.first_step[model_.ops.size()] = static_cast<uint32_t>(calls.size());
    if (!plan_.steps.resize(calls.size())) return no_memory();
    Array<Bounds> bounds(allocator_);
    EDGECV_TRY(find_bounds(model_, {calls.data(), calls.size()}, {roots.data(), roots.size()},
                           &bounds, error_));
    uint32_t op = 0;
    for (uint32_t i = 0; i < calls.size(); ++i) {
      while (plan_.first_step[op + 1] <= i) ++op;
      if (options_.bounds) set_input_bounds(bounds, &calls[i]);
      plan_.steps[i].op = op;
      plan_.steps[i].call = calls[i];
      plan_.steps[i].chain = -1;
      plan_.macs += static_cast<uint64_t>(calls[i].macs);
    }
    return Status::kOk;
  }

  Status choose_kernels() {
    for (Step& step : plan_.steps) {
      const void* problem = &step.call.problem;
      const kernels::Kernel* kernel =
          kernels::choose_kernel(step.call.family, problem, plan_.isa.mask);
      if (kernel == nullptr) {
        return fail(error_, Status::kUnsupported, "op %u (%s): no kernel for %s", step.op,
                    model_.op_name(step.op), kernels::family_name(step.call.family));
      }
      step.kernel = kernel;
      step.scratch_bytes = kernel->scratch_bytes != nullptr ? kernel->scratch_bytes(problem) : 0;
      step.packed_bytes = kernel->packed_bytes != nullptr ? kernel->packed_bytes(problem) : 0;
      step.items = kernel->work_items(problem);
      step.parallel = step.items > 1 && compute_cost(step) >= kParallelCost;
      need_scratch(step.scratch_bytes);
    }
    return Status::kOk;
  }

  void need_scratch(uint64_t bytes) {
    if (plan_.scratch_bytes < bytes) plan_.scratch_bytes = bytes;
  }

  Status pack() {
    uint64_t total = 0;
    for (Step& step : plan_.steps) {
      step.packed_offset = total;
      total += align_up(step.packed_bytes);
      if (total > limits_.packed_bytes) {
        return fail(error_, Status::kLimit,
                    "op %u (%s): packed weights pass the limit of %llu bytes", step.op,
                    model_.op_name(step.op), static_cast<unsigned long long>(limits_.packed_bytes));
      }
    }
    if (!plan_.packed.resize(total)) return no_memory();
    uint64_t read = 0;
    for (const Step& step : plan_.steps) {
      if (step.packed_bytes == 0) continue;
      step.kernel->pack(&step.call.problem, plan_.packed.data() + step.packed_offset);
      read += step.packed_bytes;
      if (read < kPackedAtATime || options_.source == nullptr) continue;
      options_.source->drop_pages();
      read = 0;
    }
    if (options_.source != nullptr) options_.source->drop_pages();
    return Status::kOk;
  }

  Status plan_ports() {
    if (!plan_.ports.resize(model_.ports.size())) return no_memory();
    for (size_t i = 0; i < model_.ports.size(); ++i) {
      PortPlan& port = plan_.ports[i];
      EDGECV_TRY(plan_port(model_, model_.ports[i], i < model_.input_ports, plan_.isa.mask, &port,
                           error_));
      if (plan_.staging_bytes < port.staging_bytes) plan_.staging_bytes = port.staging_bytes;
      need_scratch(port.scratch_bytes);
    }
    return Status::kOk;
  }

  const ParsedModel& model_;
  const PlanOptions& options_;
  const format::Limits& limits_;
  const Allocator& allocator_;
  Plan& plan_;
  Error* error_;
};

}  // namespace

Status make_plan(const ParsedModel& model, const PlanOptions& options, const format::Limits& limits,
                 const Allocator& allocator, Plan* plan, Error* error) {
  Planner planner(model, options, limits, allocator, plan, error);
  return planner.run();
}

}  // namespace edgecv::runtime
