#include "runtime/layout.h"

#include "runtime/arena.h"
#include "runtime/plan.h"

namespace edgecv::runtime {
namespace {

using format::ParsedModel;

// Collects who is alive when.
class Lifetimes {
 public:
  Lifetimes(const ParsedModel& model, const Plan& plan, bool chains, const Allocator& allocator)
      : model_(model), plan_(plan), chains_(chains), items_(allocator), item_of_(allocator) {}

  bool find() {
    if (!item_of_.resize(model_.tensors.size())) return false;
    const int32_t end = static_cast<int32_t>(plan_.steps.size());
    for (size_t i = 0; i < model_.ports.size(); ++i)
      touch(model_.ports[i].tensor, i < model_.input_ports ? -1 : end);
    for (int32_t i = 0; i < end; ++i) {
      const Step& step = plan_.steps[static_cast<size_t>(i)];
      for (int32_t k = 0; k < step.call.input_count; ++k) touch(step.call.inputs[k], i);
      touch(step.call.output, i);
      if (chains_ && step.chain >= 0) touch_chain(plan_.chains[static_cast<size_t>(step.chain)], i);
    }
    for (uint32_t op = 0; op < model_.ops.size(); ++op) {
      // A view still holds its values when its turn has come.
      const uint32_t next = plan_.first_step[op];
      if (next == plan_.first_step[op + 1])
        touch(model_.ops[op].output, static_cast<int32_t>(next));
    }
    return !out_of_memory_;
  }

  Array<ArenaItem>& items() { return items_; }
  // The item of a tensor; null when it has no memory.
  const ArenaItem* item_of(uint32_t tensor) const {
    const uint32_t item = item_of_[plan_.roots[tensor]];
    return item == 0 ? nullptr : &items_[item - 1];
  }

 private:
  // The links of a chain take turns, so that all it reads and writes is alive from the first to the
  // last.
  void touch_chain(const Chain& chain, int32_t i) {
    const Step& step = plan_.steps[static_cast<size_t>(i)];
    const int32_t first = static_cast<int32_t>(chain.first_step);
    const int32_t last = first + static_cast<int32_t>(chain.link_count) - 1;
    for (int32_t k = 0; k < step.call.input_count; ++k) {
      touch(step.call.inputs[k], first);
      touch(step.call.inputs[k], last);
    }
    if (i == last) touch(step.call.output, first);
  }

  // Written by a link that is not the last of its chain.
  bool inside_chain(uint32_t root, int32_t step) const {
    if (!chains_ || step < 0 || step >= static_cast<int32_t>(plan_.steps.size())) return false;
    const Step& reader = plan_.steps[static_cast<size_t>(step)];
    if (reader.chain < 0) return false;
    const Chain& chain = plan_.chains[static_cast<size_t>(reader.chain)];
    for (uint32_t i = 0; i + 1 < chain.link_count; ++i) {
      if (plan_.steps[chain.first_step + i].call.output == root) return true;
    }
    return false;
  }

  void touch(uint32_t tensor, int32_t step) {
    const uint32_t root = plan_.roots[tensor];
    if (model_.is_constant(root) || out_of_memory_ || inside_chain(root, step)) return;
    if (item_of_[root] == 0) {
      const uint64_t bytes = static_cast<uint64_t>(format::tensor_bytes(model_.tensors[root]));
      out_of_memory_ = !items_.push_back(ArenaItem{bytes, step, step, 0});
      if (out_of_memory_) return;
      item_of_[root] = static_cast<uint32_t>(items_.size());
    }
    ArenaItem& item = items_[item_of_[root] - 1];
    if (step < item.first) item.first = step;
    if (step > item.last) item.last = step;
  }

  const ParsedModel& model_;
  const Plan& plan_;
  const bool chains_;
  Array<ArenaItem> items_;
  Array<uint32_t> item_of_;  // by root tensor: index of its item + 1
  bool out_of_memory_ = false;
};

}  // namespace

Status make_layout(const ParsedModel& model, const Plan& plan, bool chains, bool keep_all,
                   const format::Limits& limits, const Allocator& allocator, Layout* layout,
                   Error* error) {
  const size_t count = model.tensors.size();
  layout->chains = chains;
  layout->keep_all = keep_all;
  Lifetimes lifetimes(model, plan, chains, allocator);
  if (!lifetimes.find() || !layout->places.resize(count))
    return fail(error, Status::kOutOfMemory, "no memory to plan %zu tensors", count);
  Array<ArenaItem>& items = lifetimes.items();
  EDGECV_TRY(
      place_arena({items.data(), items.size()}, !keep_all, allocator, &layout->arena_bytes, error));
  const uint64_t scratch = plan.scratch_bytes * static_cast<uint64_t>(plan.threads);
  const uint64_t session_bytes = layout->arena_bytes + plan.staging_bytes + scratch;
  if (plan.scratch_bytes > limits.arena_bytes || session_bytes > limits.arena_bytes) {
    return fail(error, Status::kLimit,
                "the model needs %llu bytes for activations and %llu for scratch of %d threads; "
                "the limit is %llu",
                static_cast<unsigned long long>(layout->arena_bytes),
                static_cast<unsigned long long>(scratch), plan.threads,
                static_cast<unsigned long long>(limits.arena_bytes));
  }
  for (uint32_t i = 0; i < count; ++i) {
    const ArenaItem* item = lifetimes.item_of(i);
    layout->places[i].constant = model.constants[plan.roots[i]];
    layout->places[i].offset =
        item != nullptr ? static_cast<int64_t>(item->offset) + plan.views[i].offset : -1;
  }
  return Status::kOk;
}

}  // namespace edgecv::runtime
