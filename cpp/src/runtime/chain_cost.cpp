#include "runtime/chain_cost.h"

#include <unistd.h>

namespace edgecv::runtime {
namespace {

// Measured on Zen 3 (512 KiB of L2 a core) with MobileNetV2-224, chains of all blocks in stripes of
// 1, 2, 4 and 8 rows against none.
constexpr double kCall = 500;       // ns to start a kernel on a stripe, its last tiles included
constexpr double kFar = 0.05;       // ns a byte that comes from or goes beyond L2
constexpr double kShift = 0.03;     // ns a byte that moves within a line buffer
constexpr double kForkJoin = 1500;  // ns, workers awake; what they wait for each other included
constexpr double kMostNear = 0.5;   // of L2: what a stripe may touch and find again
constexpr int32_t kStripes[] = {1, 2, 4, 8, 16, 32};
constexpr int32_t kStripesPerThread[] = {1, 2, 3, 4, 6, 8};  // heights that share out evenly

constexpr int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }

// Rows of each link's output that `rows` of the last one need, as if the image had no border.
void rows_needed(const ChainLink* links, int32_t count, int32_t rows, int64_t* need) {
  for (int32_t l = 0; l < count; ++l) need[l] = 0;
  need[count - 1] = rows;
  for (int32_t l = count - 1; l > 0; --l) {
    for (int32_t i = 0; i < links[l].input_count; ++i) {
      const int32_t from = links[l].inputs[i].producer;
      if (from < 0) continue;
      const int64_t reach = (need[l] - 1) * links[l].stride + links[l].reach;
      if (need[from] < reach) need[from] = reach < links[from].rows ? reach : links[from].rows;
    }
  }
}

}  // namespace

double CostModel::stripes(const ChainLink* links, int32_t count, int32_t batch,
                          int32_t stripe) const {
  const int32_t last = count - 1, rows = links[last].rows;
  const int64_t stripe_count = (rows + stripe - 1) / stripe;
  const int64_t threads = min_of(plan_.threads, stripe_count * batch);
  // Each thread begins anew once, at most.
  const int64_t bands = batch >= threads ? 1 : min_of(threads, stripe_count);
  int64_t in_stripe[kMaxChainLinks], in_band[kMaxChainLinks];
  rows_needed(links, count, stripe, in_stripe);
  rows_needed(links, count, static_cast<int32_t>((rows + bands - 1) / bands), in_band);
  double touched = 0, weights = 0, inside = 0, cost = 0, shifted = 0;
  const double starts = static_cast<double>(stripe_count);
  for (int32_t l = 0; l < count; ++l) {
    const Step& step = plan_.steps[links[l].step];
    // Where a thread begins it makes rows that its neighbour makes too.
    const double again = static_cast<double>(in_band[l] * bands) / links[l].rows;
    cost += links[l].cost * again + kCall * starts * batch;
    weights += static_cast<double>(step.packed_bytes);
    for (int32_t i = 0; i < links[l].input_count; ++i) {
      if (links[l].inputs[i].producer < 0) cost += far(step.call.inputs[i]);
    }
    if (l == last) break;
    const double pitch = static_cast<double>(links[l].pitch);
    const double fresh = static_cast<double>(links[l].rows) / starts;
    touched += static_cast<double>(in_stripe[l]) * pitch;
    inside += static_cast<double>(links[l].image) * batch;
    if (static_cast<double>(in_stripe[l]) > fresh)
      shifted += (static_cast<double>(in_stripe[l]) - fresh) * pitch * starts * batch;
  }
  cost += far(plan_.steps[links[last].step].call.output) + kShift * shifted;
  if (touched + weights > near_) cost += (2 * inside + weights * starts) * kFar;
  if (threads < 2) return cost;
  const int64_t most = (stripe_count * batch + threads - 1) / threads;  // stripes of a thread
  return cost * static_cast<double>(most) / static_cast<double>(stripe_count * batch) + kForkJoin;
}

int32_t CostModel::least_left(const ChainLink* links, int32_t count, int32_t stripe) const {
  const int32_t last = count - 1;
  int64_t need[kMaxChainLinks];
  rows_needed(links, count, stripe, need);
  double whole = 0, again = 0;  // of a stripe in the middle; of what beginning there adds
  for (int32_t l = 0; l < count; ++l) {
    const double row = links[l].cost / links[l].rows;
    const double fresh = static_cast<double>(links[l].rows) / links[last].rows * stripe;
    whole += fresh * row + kCall;
    if (static_cast<double>(need[l]) > fresh) again += (static_cast<double>(need[l]) - fresh) * row;
  }
  return 1 + static_cast<int32_t>(2 * again / whole);
}

double compute_cost(const Step& step) {
  if (step.kernel->cost != nullptr) return step.kernel->cost(&step.call.problem);
  return static_cast<double>(step.call.macs) / 60 + static_cast<double>(step.call.bytes) / 16;
}

CostModel::CostModel(const Plan& the_plan, const format::ParsedModel& the_model)
    : plan_(the_plan), model_(the_model) {
  long size = 0;
#if defined(_SC_LEVEL2_CACHE_SIZE)
  size = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
  if (size <= 0) size = 512 << 10;
  if (size < (256 << 10)) size = 256 << 10;
  if (size > (1 << 20)) size = 1 << 20;
  near_ = kMostNear * static_cast<double>(size);
}

// What a step pays for a tensor that does not stay in L2 between its writer and its reader.
double CostModel::far(uint32_t tensor) const {
  const double bytes = static_cast<double>(format::tensor_bytes(model_.tensors[tensor]));
  return bytes > near_ / 2 ? bytes * kFar : 0;
}

double CostModel::step(const Step& step, double compute) const {
  double cost = compute + far(step.call.output);
  for (int32_t i = 0; i < step.call.input_count; ++i) cost += far(step.call.inputs[i]);
  return step.parallel && plan_.threads > 1 ? cost / plan_.threads + kForkJoin : cost;
}

double CostModel::chain(const ChainLink* links, int32_t count, int32_t batch,
                        int32_t* stripe) const {
  if (*stripe != 0) return stripes(links, count, batch, *stripe);
  double best = 0;
  const int32_t rows = links[count - 1].rows;
  const auto consider = [&](int32_t height) {
    const double cost = stripes(links, count, batch, height);
    if (*stripe != 0 && cost >= best) return;
    best = cost;
    *stripe = height;
  };
  for (const int32_t height : kStripes) {
    if (height == 1 || height < 2 * rows) consider(height);
  }
  for (const int32_t each : kStripesPerThread) {
    const int32_t parts = each * plan_.threads;
    if (plan_.threads > 1 && parts <= rows) consider((rows + parts - 1) / parts);
  }
  return best;
}

}  // namespace edgecv::runtime
