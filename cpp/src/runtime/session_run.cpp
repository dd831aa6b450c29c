// Runs of a session: steps one by one, chains in stripes, threads, times.
#include <string.h>
#include <time.h>

#include <atomic>

#include "base/fp_env.h"
#include "runtime/session.h"

namespace edgecv::runtime {
namespace {

using kernels::Kernel;

// Ports from this size on are converted by all threads of a run.
constexpr int64_t kParallelElements = 32 << 10;

uint64_t now_nanoseconds() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1000000000u + static_cast<uint64_t>(t.tv_nsec);
}

struct StepTask {
  const Kernel* kernel;
  const void* problem;
  kernels::Operands operands;
  uint8_t* scratch;
  uint64_t scratch_bytes;  // a thread
  std::atomic<int> result;
};

void run_range(void* context, int thread, int64_t begin, int64_t end) {
  StepTask* task = static_cast<StepTask*>(context);
  uint8_t* scratch =
      task->scratch == nullptr ? nullptr : task->scratch + thread * task->scratch_bytes;
  const int result = task->kernel->run(task->problem, task->operands, begin, end, scratch);
  if (result != 0) task->result.store(result, std::memory_order_relaxed);
}

// Where a thread is in a chain.
struct alignas(64) Walker {
  int64_t next;  // the stripe after the last one it did; -1: it has done none
  ChainWalk walk;
};

struct ChainTask {
  const Plan* plan;
  const Chain* chain;
  const ChainLink* links;
  // Memory outside the chain; null where a line buffer is.
  const uint8_t* inputs[kMaxChainLinks][ops::kMaxCallInputs];
  uint8_t* output;
  uint8_t* scratch;
  uint64_t* link_times;          // null: no timing
  std::atomic<int> failed_link;  // -1: none
  Walker walkers[kMaxThreads];
};

// Runs stripes of one image on one thread.
struct StripeRunner {
  const ChainTask& task;
  int64_t image;
  uint8_t* buffers;
  uint8_t* scratch;
  uint64_t* link_times;
  uint64_t before = 0;

  void shift(int32_t l, int32_t drop, int32_t count) {
    const ChainLink& link = task.links[l];
    uint8_t* buffer = buffers + link.buffer;
    memmove(buffer, buffer + drop * link.pitch, static_cast<size_t>(count * link.pitch));
  }

  int run(int32_t l, RowRange rows, const int32_t* first) {
    const ChainLink& link = task.links[l];
    const Step& step = task.plan->steps[link.step];
    ops::Problem problem;
    make_stripe_problem(step.call, link, rows, &problem);
    const void* inputs[ops::kMaxCallInputs] = {nullptr, nullptr};
    for (int32_t i = 0; i < link.input_count; ++i) {
      const ChainInput& in = link.inputs[i];
      const int32_t row = input_rows(link, i, rows).begin;
      inputs[i] = in.producer >= 0 ? buffers + task.links[in.producer].buffer +
                                         (row - first[in.producer]) * in.pitch
                                   : task.inputs[l][i] + image * in.image + row * in.pitch;
    }
    uint8_t* out = link.capacity != 0 ? buffers + link.buffer + (rows.begin - first[l]) * link.pitch
                                      : task.output + image * link.image + rows.begin * link.pitch;
    const kernels::Operands operands = {
        inputs, out,
        step.packed_bytes != 0 ? task.plan->packed.data() + step.packed_offset : nullptr};
    const int result =
        step.kernel->run(&problem, operands, 0, step.kernel->work_items(&problem), scratch);
    if (link_times != nullptr) {
      const uint64_t now = now_nanoseconds();
      link_times[l] += now - before;
      before = now;
    }
    return result == 0 ? 0 : l + 1;
  }
};

// Items: for each image, for each stripe.
void run_stripes(void* context, int thread, int64_t begin, int64_t end) {
  ChainTask* task = static_cast<ChainTask*>(context);
  const Chain& chain = *task->chain;
  const int32_t count = static_cast<int32_t>(chain.link_count);
  const int32_t rows = task->links[count - 1].rows;
  uint8_t* buffers = task->scratch + static_cast<uint64_t>(thread) * task->plan->scratch_bytes;
  StripeRunner runner = {
      *task, 0, buffers, buffers + chain.buffer_bytes,
      task->link_times == nullptr ? nullptr : task->link_times + thread * kMaxChainLinks};
  if (runner.link_times != nullptr) runner.before = now_nanoseconds();
  Walker& walker = task->walkers[thread];
  for (int64_t item = begin; item < end; ++item) {
    runner.image = item / chain.stripes;
    const int32_t y = static_cast<int32_t>(item % chain.stripes) * chain.stripe;
    if (item != walker.next || y == 0) begin_walk(task->links, count, y, &walker.walk);
    const int32_t to = rows - y < chain.stripe ? rows : y + chain.stripe;
    const int failed = walk_to(task->links, count, to, &walker.walk, &runner);
    if (failed != 0) task->failed_link.store(failed - 1, std::memory_order_relaxed);
    // After a failure nothing is taken up again.
    walker.next = failed != 0 ? -1 : item + 1;
  }
}

}  // namespace

Status Session::run(Error* error) {
  const format::ParsedModel& file = model_->file();
  for (uint32_t i = 0; i < file.input_ports; ++i) {
    if (input_set_[i] == 0) {
      return fail(error, Status::kWrongState,
                  "input %u ('%s') has not been filled since the last run", i,
                  file.text(file.ports[i].name));
    }
  }
  for (uint8_t& set : input_set_) set = 0;
  ran_ = false;
  next_op_ = 0;
  EDGECV_TRY(run_steps(0, static_cast<uint32_t>(plan_->steps.size()), error));
  ran_ = true;
  return Status::kOk;
}

Status Session::run_op(uint32_t op, Error* error) {
  if (layout_->chains)
    return fail(error, Status::kWrongState, "single ops run in a traced session alone");
  for (uint8_t& set : input_set_) set = 0;
  ran_ = false;
  next_op_ = op;
  return run_steps(plan_->first_step[op], plan_->first_step[op + 1], error);
}

Status Session::run_steps(uint32_t begin, uint32_t end, Error* error) {
  const FpEnvScope fp_env;
  ThreadLease lease(plan_->threads);
  if (op_callback_ != nullptr) finish_ops(begin);
  uint64_t before = timing_ ? now_nanoseconds() : 0;
  for (uint32_t i = begin; i < end;) {
    const Step& step = plan_->steps[i];
    const Chain* chain = layout_->chains && step.chain >= 0
                             ? &plan_->chains[static_cast<size_t>(step.chain)]
                             : nullptr;
    EDGECV_TRY(chain != nullptr ? run_chain(*chain, &lease, error) : run_step(step, &lease, error));
    if (timing_) {
      const uint64_t after = now_nanoseconds();
      if (chain != nullptr) {
        divide_time(*chain, after - before);
      } else {
        step_times_[i] = after - before;
      }
      before = after;
    }
    i += chain != nullptr ? chain->link_count : 1;
    if (op_callback_ != nullptr) {
      finish_ops(i);
      if (timing_) before = now_nanoseconds();
    }
  }
  return Status::kOk;
}

// Calls back for every op that is complete after `steps_done` steps.
void Session::finish_ops(uint32_t steps_done) {
  for (; next_op_ + 1 < plan_->first_step.size() && plan_->first_step[next_op_ + 1] <= steps_done;
       ++next_op_) {
    callback_op_ = next_op_;
    op_callback_(op_context_, next_op_);
    callback_op_ = format::kAbsent;
  }
}

Status Session::found_nan(uint32_t op, Error* error) const {
  return fail(error, Status::kNanInput, "op %u (%s) was given a NaN to quantize", op,
              model_->file().op_name(op));
}

Status Session::run_step(const Step& step, ThreadLease* lease, Error* error) {
  const void* inputs[ops::kMaxCallInputs] = {nullptr, nullptr};
  for (int32_t i = 0; i < step.call.input_count; ++i) inputs[i] = address(step.call.inputs[i]);
  StepTask task{step.kernel,
                &step.call.problem,
                {inputs, activation(step.call.output),
                 step.packed_bytes != 0 ? plan_->packed.data() + step.packed_offset : nullptr},
                scratch_,
                plan_->scratch_bytes,
                {0}};
  if (step.parallel) {
    lease->parallel_for(step.items, run_range, &task);
  } else {
    run_range(&task, 0, 0, step.items);
  }
  return task.result.load(std::memory_order_relaxed) == 0 ? Status::kOk : found_nan(step.op, error);
}

int Session::run_port(const Kernel& kernel, const void* problem, int64_t elements, const void* in,
                      void* out) const {
  StepTask task{&kernel, problem, {&in, out, nullptr}, scratch_, plan_->scratch_bytes, {0}};
  ThreadLease lease(elements < kParallelElements ? 1 : plan_->threads);
  lease.parallel_for(kernel.work_items(problem), run_range, &task);
  return task.result.load(std::memory_order_relaxed);
}

Status Session::run_chain(const Chain& chain, ThreadLease* lease, Error* error) {
  ChainTask task;
  task.plan = plan_;
  task.chain = &chain;
  task.links = &plan_->links[chain.first_link];
  for (uint32_t l = 0; l < chain.link_count; ++l) {
    const ops::Call& call = plan_->steps[chain.first_step + l].call;
    for (int32_t i = 0; i < call.input_count; ++i) task.inputs[l][i] = address(call.inputs[i]);
  }
  task.output = activation(plan_->steps[chain.first_step + chain.link_count - 1].call.output);
  task.scratch = scratch_;
  task.link_times = timing_ ? link_times_.data() : nullptr;
  task.failed_link.store(-1, std::memory_order_relaxed);
  if (timing_) memset(link_times_.data(), 0, link_times_.size() * sizeof(uint64_t));
  for (int t = 0; t < lease->threads(); ++t) task.walkers[t].next = -1;
  lease->parallel_for(
      {int64_t{chain.batch} * chain.stripes, 1, true, static_cast<uint32_t>(chain.least)},
      run_stripes, &task);
  const int failed = task.failed_link.load(std::memory_order_relaxed);
  if (failed < 0) return Status::kOk;
  return found_nan(plan_->steps[chain.first_step + static_cast<uint32_t>(failed)].op, error);
}

void Session::divide_time(const Chain& chain, uint64_t nanoseconds) {
  uint64_t sums[kMaxChainLinks] = {0}, total = 0;
  for (size_t i = 0; i < link_times_.size(); ++i) {
    sums[i % kMaxChainLinks] += link_times_[i];
    total += link_times_[i];
  }
  for (uint32_t l = 0; l < chain.link_count; ++l) {
    step_times_[chain.first_step + l] = static_cast<uint64_t>(
        total == 0 ? 0.0
                   : static_cast<double>(nanoseconds) * static_cast<double>(sums[l]) /
                         static_cast<double>(total));
  }
}

}  // namespace edgecv::runtime
