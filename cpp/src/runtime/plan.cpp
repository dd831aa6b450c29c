#include "runtime/plan.h"

#include <string.h>

#include "runtime/arena.h"
#include "runtime/bounds.h"
#include "runtime/thread_pool.h"

namespace edgecv::runtime {
namespace {

using format::kAbsent;
using format::ParsedModel;
using format::PortRecord;
using format::TensorRecord;

// A step is shared among threads when it takes about this long alone; the units are those of
// step_cost.
constexpr int64_t kParallelCost =
    20000;  // ns; a fork and join costs less than 1 us while the workers spin

// A rough time in ns: what matters is the order of magnitude.
int64_t step_cost(const ops::Call& call) { return call.macs / 40 + call.bytes / 8; }

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
        error_(error),
        root_(allocator) {}

  Status run() {
    EDGECV_TRY(choose_isa(options_.isa, &plan_.isa, error_));
    plan_.threads = options_.threads > 0 ? options_.threads : available_threads();
    if (plan_.threads > kMaxThreads) plan_.threads = kMaxThreads;
    plan_.keep_all = options_.keep_all;
    EDGECV_TRY(lower());
    EDGECV_TRY(choose_kernels());
    EDGECV_TRY(pack());
    EDGECV_TRY(plan_ports());
    plan_.scratch_bytes = align_up(plan_.scratch_bytes);
    return place();
  }

 private:
  Status no_memory() { return fail(error_, Status::kOutOfMemory, "no memory for the plan"); }

  // Fills steps, first_step and root_ (the tensor whose memory a tensor shares; itself when it has
  // its own).
  Status lower() {
    Array<ops::Call> calls(allocator_);
    if (!root_.resize(model_.tensors.size()) || !plan_.first_step.resize(model_.ops.size() + 1))
      return no_memory();
    for (size_t i = 0; i < root_.size(); ++i) root_[i] = static_cast<uint32_t>(i);
    for (uint32_t op = 0; op < model_.ops.size(); ++op) {
      plan_.first_step[op] = static_cast<uint32_t>(calls.size());
      uint32_t alias = kAbsent;
      EDGECV_TRY(ops::lower_op(model_, op, &calls, &alias, error_));
      if (alias != kAbsent) root_[model_.ops[op].output] = root_[alias];
    }
    plan_.first_step[model_.ops.size()] = static_cast<uint32_t>(calls.size());
    if (!plan_.steps.resize(calls.size())) return no_memory();
    Array<Bounds> bounds(allocator_);
    EDGECV_TRY(find_bounds(model_, {calls.data(), calls.size()}, {root_.data(), root_.size()},
                           &bounds, error_));
    uint32_t op = 0;
    for (uint32_t i = 0; i < calls.size(); ++i) {
      while (plan_.first_step[op + 1] <= i) ++op;
      set_input_bounds(bounds, &calls[i]);
      plan_.steps[i].op = op;
      plan_.steps[i].call = calls[i];
      plan_.macs += static_cast<uint64_t>(calls[i].macs);
    }
    return Status::kOk;
  }

  const kernels::Kernel* choose(kernels::Family family, const void* problem, uint64_t* scratch) {
    const kernels::Kernel* kernel = kernels::choose_kernel(family, problem, plan_.isa.mask);
    if (kernel == nullptr) {
      fail(error_, Status::kUnsupported, "no kernel for %s", kernels::family_name(family));
      return nullptr;
    }
    const uint64_t bytes = kernel->scratch_bytes != nullptr ? kernel->scratch_bytes(problem) : 0;
    if (scratch != nullptr) *scratch = bytes;
    if (plan_.scratch_bytes < bytes) plan_.scratch_bytes = bytes;
    return kernel;
  }

  Status choose_kernels() {
    for (Step& step : plan_.steps) {
      const void* problem = &step.call.problem;
      step.kernel = choose(step.call.family, problem, &step.scratch_bytes);
      if (step.kernel == nullptr) {
        return fail(error_, Status::kUnsupported, "op %u (%s): no kernel for %s", step.op,
                    model_.op_name(step.op), kernels::family_name(step.call.family));
      }
      step.items = step.kernel->work_items(problem);
      step.parallel = step.items > 1 && step_cost(step.call) >= kParallelCost;
      step.packed_bytes =
          step.kernel->packed_bytes != nullptr ? step.kernel->packed_bytes(problem) : 0;
    }
    return Status::kOk;
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
    for (const Step& step : plan_.steps) {
      if (step.packed_bytes != 0)
        step.kernel->pack(&step.call.problem, plan_.packed.data() + step.packed_offset);
    }
    return Status::kOk;
  }

  Status plan_ports() {
    if (!plan_.ports.resize(model_.ports.size())) return no_memory();
    for (size_t i = 0; i < model_.ports.size(); ++i) {
      EDGECV_TRY(plan_port(model_.ports[i], i < model_.input_ports, &plan_.ports[i]));
    }
    return Status::kOk;
  }

  Status plan_port(const PortRecord& record, bool input, PortPlan* port) {
    const TensorRecord& tensor = model_.tensors[record.tensor];
    const int32_t bytes = static_cast<int32_t>(format::dtype_bytes(tensor.dtype));
    port->elements = format::element_count(tensor);
    int64_t stored[format::kMaxRank], api[format::kMaxRank] = {0}, api_dense = bytes;
    ops::dense_strides(tensor, stored);
    int previous = -1;
    bool same_order = true;
    for (int i = 0; i < tensor.rank; ++i) {
      stored[i] *= bytes;
      const int axis = record.perm[i];
      if (tensor.dims[axis] == 1) continue;
      same_order = same_order && axis > previous;
      previous = axis;
    }
    for (int i = tensor.rank - 1; i >= 0; --i) {  // api[]: by stored axis
      api[record.perm[i]] = api_dense;
      api_dense *= tensor.dims[record.perm[i]];
    }
    if (!same_order) {
      if (input) {
        port->move_problem = ops::make_move(bytes, tensor.rank, tensor.dims, api, stored, 0, 0);
      } else {
        int32_t dims[format::kMaxRank];
        int64_t from[format::kMaxRank], to[format::kMaxRank];
        for (int i = 0; i < tensor.rank; ++i) {
          dims[i] = tensor.dims[record.perm[i]];
          from[i] = stored[record.perm[i]];
          to[i] = api[record.perm[i]];
        }
        port->move_problem = ops::make_move(bytes, tensor.rank, dims, from, to, 0, 0);
      }
      port->move = choose(kernels::Family::kMove, &port->move_problem, nullptr);
      if (port->move == nullptr) return Status::kUnsupported;
    }
    if (tensor.dtype == static_cast<uint8_t>(format::Dtype::kS8)) {
      port->convert_problem.count = port->elements;
      port->convert_problem.scale = tensor.scale;
      port->convert_problem.zero_point = tensor.zero_point;
      port->convert = choose(input ? kernels::Family::kQuantize : kernels::Family::kDequantize,
                             &port->convert_problem, nullptr);
      if (port->convert == nullptr) return Status::kUnsupported;
      if (!same_order && plan_.staging_bytes < static_cast<uint64_t>(port->elements)) {
        plan_.staging_bytes = static_cast<uint64_t>(port->elements);
      }
    }
    return Status::kOk;
  }

  // Lifetimes in steps: graph inputs begin before the first step, graph outputs end after the last.
  Status place() {
    const size_t count = model_.tensors.size();
    Array<ArenaItem> items(allocator_);
    Array<uint32_t> item_of(allocator_);  // by root tensor: index of its item + 1
    if (!plan_.places.resize(count) || !item_of.resize(count)) return no_memory();
    const int32_t end = static_cast<int32_t>(plan_.steps.size());
    bool out_of_memory = false;
    const auto touch = [&](uint32_t tensor, int32_t step) {
      const uint32_t root = root_[tensor];
      if (model_.is_constant(root)) return;
      if (item_of[root] == 0) {
        const uint64_t bytes = static_cast<uint64_t>(format::tensor_bytes(model_.tensors[root]));
        out_of_memory = out_of_memory || !items.push_back(ArenaItem{bytes, step, step, 0});
        if (out_of_memory) return;
        item_of[root] = static_cast<uint32_t>(items.size());
      }
      ArenaItem& item = items[item_of[root] - 1];
      if (step < item.first) item.first = step;
      if (step > item.last) item.last = step;
    };
    for (size_t i = 0; i < model_.ports.size(); ++i)
      touch(model_.ports[i].tensor, i < model_.input_ports ? -1 : end);
    for (int32_t i = 0; i < end; ++i) {
      const ops::Call& call = plan_.steps[static_cast<size_t>(i)].call;
      for (int32_t k = 0; k < call.input_count; ++k) touch(call.inputs[k], i);
      touch(call.output, i);
    }
    for (uint32_t op = 0; op < model_.ops.size();
         ++op) {  // a view still holds its values when its turn has come
      const uint32_t next = plan_.first_step[op];
      if (next == plan_.first_step[op + 1])
        touch(model_.ops[op].output, static_cast<int32_t>(next));
    }
    if (out_of_memory) return no_memory();
    EDGECV_TRY(place_arena({items.data(), items.size()}, !plan_.keep_all, allocator_,
                           &plan_.arena_bytes, error_));
    const uint64_t scratch = plan_.scratch_bytes * static_cast<uint64_t>(plan_.threads);
    const uint64_t session_bytes = plan_.arena_bytes + plan_.staging_bytes + scratch;
    if (plan_.scratch_bytes > limits_.arena_bytes || session_bytes > limits_.arena_bytes) {
      return fail(error_, Status::kLimit,
                  "the model needs %llu bytes for activations and %llu for scratch of %d threads; "
                  "the limit is %llu",
                  static_cast<unsigned long long>(plan_.arena_bytes),
                  static_cast<unsigned long long>(scratch), plan_.threads,
                  static_cast<unsigned long long>(limits_.arena_bytes));
    }
    for (size_t i = 0; i < count; ++i) {
      const uint32_t root = root_[i];
      plan_.places[i].constant = model_.constants[root];
      plan_.places[i].offset =
          item_of[root] != 0 ? static_cast<int64_t>(items[item_of[root] - 1].offset) : -1;
    }
    return Status::kOk;
  }

  const ParsedModel& model_;
  const PlanOptions& options_;
  const format::Limits& limits_;
  const Allocator& allocator_;
  Plan& plan_;
  Error* error_;
  Array<uint32_t> root_;
};

}  // namespace

Status make_plan(const ParsedModel& model, const PlanOptions& options, const format::Limits& limits,
                 const Allocator& allocator, Plan* plan, Error* error) {
  Planner planner(model, options, limits, allocator, plan, error);
  return planner.run();
}

}  // namespace edgecv::runtime
