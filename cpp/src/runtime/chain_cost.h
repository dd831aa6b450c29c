// What steps and chains cost: estimates in ns that decide which steps become chains, how high their
// stripes are and which steps are shared among threads.
#ifndef EDGECV_RUNTIME_CHAIN_COST_H_
#define EDGECV_RUNTIME_CHAIN_COST_H_

#include "runtime/plan.h"

namespace edgecv::runtime {

// Of the whole step on one thread, its operands in the cache.
double compute_cost(const Step& step);

struct CostModel {
  CostModel(const Plan& the_plan, const format::ParsedModel& the_model);

  // Of a step as it runs by itself with the plan's threads; `compute` is its compute_cost().
  double step(const Step& step, double compute) const;
  // Of a chain of these links, with the cheapest height of its stripes: *stripe when that is not 0,
  // else *stripe receives it.
  double chain(const ChainLink* links, int32_t count, int32_t batch, int32_t* stripe) const;

  // How many stripes a thread must have left for another one to take half of them: it has to make
  // the rows anew that its first stripe shares with the one before.
  int32_t least_left(const ChainLink* links, int32_t count, int32_t stripe) const;

 private:
  double stripes(const ChainLink* links, int32_t count, int32_t batch, int32_t stripe) const;
  double far(uint32_t tensor) const;

  const Plan& plan_;
  const format::ParsedModel& model_;
  double near_;  // bytes that a stripe may touch and find in L2 again
};

}  // namespace edgecv::runtime

#endif  // EDGECV_RUNTIME_CHAIN_COST_H_
