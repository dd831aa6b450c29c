#include "runtime/chain_plan.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/chain_cost.h"

namespace edgecv::runtime {
namespace {

using format::kAbsent;
using format::ParsedModel;

uint64_t align_up(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// f32 Winograd rounds by where a pixel lies in its tile, and tiles begin at the first row of a
// stripe: such steps stay whole, so that chains change no bit of f32 results either. The s8 rows of
// that form are exact.
bool rounds_by_position(const kernels::Kernel& kernel) {
  return kernel.family == kernels::Family::kConvF32 && strstr(kernel.name, "winograd") != nullptr;
}

// What a step would be in a chain.
struct Candidate {
  ChainLink link;
  int32_t batch;
  bool possible;
  uint32_t last_reader;  // of its output; kAbsent: the output must be whole in memory
};

// Drops rows as early as possible and notes how many are there at most, and what scratch the
// kernels need: with buffers of that size a walk drops no row too early.
struct Measure {
  const Step* steps;  // of the first link
  ChainLink* links;
  uint64_t scratch_bytes = 0;
  int32_t most[kMaxChainLinks] = {0};

  void shift(int32_t, int32_t, int32_t) {}
  int run(int32_t l, RowRange rows, const int32_t* first) {
    if (most[l] < rows.end - first[l]) most[l] = rows.end - first[l];
    const Step& step = steps[l];
    ops::Problem problem;
    make_stripe_problem(step.call, links[l], rows, &problem);
    if (step.kernel->scratch_bytes != nullptr) {
      const uint64_t bytes = step.kernel->scratch_bytes(&problem);
      if (scratch_bytes < bytes) scratch_bytes = bytes;
    }
    // Rows of the convolution families promise to take any stripe of what they take.
    const bool packs = step.kernel->packed_bytes != nullptr;
    return packs || step.kernel->supports == nullptr || step.kernel->supports(&problem) ? 0 : 1;
  }
};

class ChainPlanner {
 public:
  ChainPlanner(const ParsedModel& model, const PlanOptions& options, const Allocator& allocator,
               Plan* plan, Error* error)
      : model_(model),
        options_(options),
        allocator_(allocator),
        plan_(*plan),
        error_(error),
        candidates_(allocator) {}

  Status run() {
    if (options_.chains == ChainMode::kOff) return Status::kOk;
    if (!find_candidates()) return no_memory();
    return options_.chains == ChainMode::kAll ? chain_all() : chain_best();
  }

 private:
  Status no_memory() { return fail(error_, Status::kOutOfMemory, "no memory to plan chains"); }

  // The longest chain that is possible from each step on.
  Status chain_all() {
    const uint32_t count = static_cast<uint32_t>(plan_.steps.size());
    for (uint32_t begin = 0; begin < count;) {
      ChainLink links[kMaxChainLinks];
      uint32_t length = count - begin < kMaxChainLinks ? count - begin : kMaxChainLinks;
      while (length >= 2 && !connect(begin, length, links)) --length;
      bool added = false;
      if (length >= 2) EDGECV_TRY(add(begin, length, links, 4, &added));
      begin += added ? length : 1;
    }
    return Status::kOk;
  }

  // The cut with the least cost: best[i] is that of steps i and later, with a chain of length[i]
  // first.
  Status chain_best() {
    struct Choice {
      double cost;
      uint32_t length;
      int32_t stripe;
    };
    const uint32_t count = static_cast<uint32_t>(plan_.steps.size());
    Array<Choice> best(allocator_);
    if (!best.resize(count + 1)) return no_memory();
    const CostModel model(plan_, model_);
    for (uint32_t begin = count; begin-- > 0;) {
      best[begin] = {
          model.step(plan_.steps[begin], candidates_[begin].link.cost) + best[begin + 1].cost, 1,
          0};
      const uint32_t most = count - begin < kMaxChainLinks ? count - begin : kMaxChainLinks;
      for (uint32_t length = 2; length <= most; ++length) {
        if (!candidates_[begin + length - 1].possible) break;
        ChainLink links[kMaxChainLinks];
        if (!connect(begin, length, links)) continue;
        int32_t stripe = options_.stripe;
        const double cost =
            model.chain(links, static_cast<int32_t>(length), candidates_[begin].batch, &stripe) +
            best[begin + length].cost;
        if (cost < best[begin].cost) best[begin] = {cost, length, stripe};
      }
    }
    for (uint32_t begin = 0; begin < count; begin += best[begin].length) {
      ChainLink links[kMaxChainLinks];
      bool added;
      if (best[begin].length == 1 || !connect(begin, best[begin].length, links)) continue;
      EDGECV_TRY(add(begin, best[begin].length, links, best[begin].stripe, &added));
    }
    return Status::kOk;
  }

  bool find_candidates() {
    const size_t count = plan_.steps.size();
    Array<uint32_t> last_reader(allocator_);
    if (!candidates_.resize(count) || !last_reader.resize(model_.tensors.size())) return false;
    for (uint32_t& reader : last_reader) reader = 0;
    for (uint32_t i = 0; i < count; ++i) {
      const ops::Call& call = plan_.steps[i].call;
      for (int32_t k = 0; k < call.input_count; ++k) last_reader[plan_.roots[call.inputs[k]]] = i;
    }
    // Ports and views need the whole tensor.
    for (const format::PortRecord& port : model_.ports)
      last_reader[plan_.roots[port.tensor]] = kAbsent;
    for (uint32_t t = 0; t < plan_.roots.size(); ++t) {
      if (plan_.roots[t] != t) last_reader[plan_.roots[t]] = last_reader[t] = kAbsent;
    }
    for (uint32_t i = 0; i < count; ++i) {
      Candidate& candidate = candidates_[i];
      const ops::Call& call = plan_.steps[i].call;
      candidate.possible = describe_link(model_, call, &candidate.link, &candidate.batch) &&
                           !rounds_by_position(*plan_.steps[i].kernel);
      candidate.link.cost = compute_cost(plan_.steps[i]);
      candidate.last_reader = last_reader[call.output];
      if (candidate.last_reader <= i) candidate.last_reader = kAbsent;  // nobody reads it
    }
    return true;
  }

  // Makes links of steps [begin, begin + length); false when they cannot be a chain.
  bool connect(uint32_t begin, uint32_t length, ChainLink* links) const {
    for (uint32_t l = 0; l < length; ++l) {
      const Candidate& candidate = candidates_[begin + l];
      if (!candidate.possible || candidate.batch != candidates_[begin].batch) return false;
      if (l + 1 < length &&
          (candidate.last_reader == kAbsent || candidate.last_reader >= begin + length)) {
        return false;
      }
      links[l] = candidate.link;
      links[l].step = begin + l;
      links[l].buffer = 0;
      links[l].capacity = 0;
      const ops::Call& call = plan_.steps[begin + l].call;
      for (int32_t i = 0; i < call.input_count; ++i) {
        ChainInput& in = links[l].inputs[i];
        for (uint32_t from = 0; from < l; ++from) {
          if (plan_.steps[begin + from].call.output != call.inputs[i]) continue;
          if (in.pitch != links[from].pitch || in.rows != links[from].rows) return false;
          in.producer = static_cast<int32_t>(from);
          in.image = 0;
        }
      }
    }
    return true;
  }

  // *added stays false when a kernel cannot take a stripe.
  Status add(uint32_t begin, uint32_t length, ChainLink* links, int32_t stripe, bool* added) {
    *added = false;
    const int32_t count = static_cast<int32_t>(length);
    Chain chain;
    chain.first_step = begin;
    chain.link_count = length;
    chain.first_link = static_cast<uint32_t>(plan_.links.size());
    chain.batch = candidates_[begin].batch;
    const int32_t rows = links[count - 1].rows;
    chain.stripe = options_.stripe > 0 ? options_.stripe : stripe;
    if (chain.stripe > rows) chain.stripe = rows;
    chain.stripes = (rows + chain.stripe - 1) / chain.stripe;
    chain.least = CostModel(plan_, model_).least_left(links, count, chain.stripe);
    Measure measure;
    measure.steps = &plan_.steps[begin];
    measure.links = links;
    ChainWalk walk;
    begin_walk(links, count, 0, &walk);
    for (int32_t y = chain.stripe; y < rows + chain.stripe; y += chain.stripe) {
      if (walk_to(links, count, y < rows ? y : rows, &walk, &measure) != 0) return Status::kOk;
    }
    // A thread may begin at any stripe. Once that one is done it is as far as if it had come from
    // the top.
    for (int32_t y = chain.stripe; y < rows && plan_.threads > 1; y += chain.stripe) {
      begin_walk(links, count, y, &walk);
      const int32_t end = y + chain.stripe < rows ? y + chain.stripe : rows;
      if (walk_to(links, count, end, &walk, &measure) != 0) return Status::kOk;
    }
    uint64_t bytes = 0;
    for (int32_t l = 0; l + 1 < count; ++l) {
      links[l].capacity = measure.most[l];
      links[l].buffer = static_cast<int64_t>(bytes);
      bytes += align_up(static_cast<uint64_t>(links[l].pitch * links[l].capacity));
    }
    chain.buffer_bytes = bytes;
    const uint64_t scratch = bytes + align_up(measure.scratch_bytes);
    if (plan_.scratch_bytes < scratch) plan_.scratch_bytes = scratch;
    for (int32_t l = 0; l < count; ++l) {
      plan_.steps[begin + static_cast<uint32_t>(l)].chain =
          static_cast<int32_t>(plan_.chains.size());
      if (!plan_.links.push_back(links[l])) return no_memory();
    }
    if (!plan_.chains.push_back(chain)) return no_memory();
    *added = true;
    return Status::kOk;
  }

  const ParsedModel& model_;
  const PlanOptions& options_;
  const Allocator& allocator_;
  Plan& plan_;
  Error* error_;
  Array<Candidate> candidates_;
};

}  // namespace

Status choose_chain_mode(int32_t option, ChainMode* mode, Error* error) {
  static const char* const kNames[] = {"auto", "off", "all"};
  static const ChainMode kModes[] = {ChainMode::kAuto, ChainMode::kOff, ChainMode::kAll};
  *mode = ChainMode::kAuto;
  if (option == 0) {
    const char* text = getenv("EDGECV_CHAINS");
    if (text == nullptr || text[0] == 0) return Status::kOk;
    for (int32_t i = 0; i < 3; ++i) {
      if (strcmp(text, kNames[i]) == 0) option = i + 1;
    }
    if (option == 0) {
      return fail(error, Status::kInvalidArgument,
                  "EDGECV_CHAINS is '%s': it takes auto, off or all", text);
    }
  }
  if (option < 1 || option > 3)
    return fail(error, Status::kInvalidArgument, "the option `chains` is %d", option);
  *mode = kModes[option - 1];
  return Status::kOk;
}

Status plan_chains(const ParsedModel& model, const PlanOptions& options, const Allocator& allocator,
                   Plan* plan, Error* error) {
  ChainPlanner planner(model, options, allocator, plan, error);
  return planner.run();
}

}  // namespace edgecv::runtime
