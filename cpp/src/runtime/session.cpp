#include "runtime/session.h"

#include <string.h>
#include <time.h>

#include <atomic>
#include <new>

#include "base/fp_env.h"

namespace edgecv::runtime {
namespace {

using kernels::Kernel;

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

}  // namespace

Session::Session(Model* model)
    : model_(model), input_set_(model->allocator()), step_times_(model->allocator()) {
  model_->retain();
}

Session::~Session() {
  const Allocator& allocator = model_->allocator();
  allocator.release(allocator.context, block_);
  allocator.release(allocator.context, scratch_);
}

Status Session::create(Model* model, Session** out, Error* error) {
  const Allocator& allocator = model->allocator();
  void* memory = allocator.allocate(allocator.context, sizeof(Session), kAlignment);
  if (memory == nullptr) return fail(error, Status::kOutOfMemory, "no memory for the session");
  Session* session = new (memory) Session(model);
  const Status status = session->allocate(error);
  if (status != Status::kOk) {
    session->destroy();
    return status;
  }
  prepare_threads(model->plan().threads);
  *out = session;
  return Status::kOk;
}

void Session::destroy() {
  Model* model = model_;
  this->~Session();
  model->allocator().release(model->allocator().context, this);
  model->release();
}

Status Session::allocate(Error* error) {
  const Allocator& allocator = model_->allocator();
  const Plan& plan = model_->plan();
  const size_t block_bytes = model_->block_bytes();
  const uint64_t scratch_bytes = plan.scratch_bytes * static_cast<uint64_t>(plan.threads);
  block_ = static_cast<uint8_t*>(allocator.allocate(allocator.context, block_bytes, kAlignment));
  if (block_ == nullptr) {
    return fail(error, Status::kOutOfMemory, "no memory for the arena of %zu bytes", block_bytes);
  }
  memset(block_, 0,
         block_bytes);  // pages are there before the first run, and reads before it are defined
  if (scratch_bytes != 0) {
    scratch_ =
        static_cast<uint8_t*>(allocator.allocate(allocator.context, scratch_bytes, kAlignment));
    if (scratch_ == nullptr) {
      return fail(error, Status::kOutOfMemory, "no memory for %llu bytes of scratch",
                  static_cast<unsigned long long>(scratch_bytes));
    }
    memset(scratch_, 0, scratch_bytes);
  }
  if (!input_set_.resize(model_->file().input_ports)) {
    return fail(error, Status::kOutOfMemory, "no memory for the session");
  }
  return Status::kOk;
}

const uint8_t* Session::address(uint32_t tensor) const {
  const TensorPlace& place = model_->plan().places[tensor];
  if (place.constant != nullptr) return place.constant;
  return place.offset < 0 ? nullptr : block_ + place.offset;
}

uint8_t* Session::activation(uint32_t tensor) {
  const TensorPlace& place = model_->plan().places[tensor];
  return place.constant != nullptr || place.offset < 0 ? nullptr : block_ + place.offset;
}

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
  EDGECV_TRY(run_steps(0, static_cast<uint32_t>(model_->plan().steps.size()), error));
  ran_ = true;
  return Status::kOk;
}

Status Session::run_op(uint32_t op, Error* error) {
  const Plan& plan = model_->plan();
  for (uint8_t& set : input_set_) set = 0;
  ran_ = false;
  next_op_ = op;
  return run_steps(plan.first_step[op], plan.first_step[op + 1], error);
}

Status Session::run_steps(uint32_t begin, uint32_t end, Error* error) {
  const Plan& plan = model_->plan();
  const FpEnvScope fp_env;
  ThreadLease lease(plan.threads);
  if (op_callback_ != nullptr) finish_ops(begin);
  uint64_t before = timing_ ? now_nanoseconds() : 0;
  for (uint32_t i = begin; i < end; ++i) {
    EDGECV_TRY(run_step(plan.steps[i], &lease, error));
    if (timing_) {
      const uint64_t after = now_nanoseconds();
      step_times_[i] = after - before;
      before = after;
    }
    if (op_callback_ != nullptr) {
      finish_ops(i + 1);
      if (timing_) before = now_nanoseconds();
    }
  }
  return Status::kOk;
}

// Calls back for every op that is complete after `steps_done` steps.
void Session::finish_ops(uint32_t steps_done) {
  const Plan& plan = model_->plan();
  for (; next_op_ + 1 < plan.first_step.size() && plan.first_step[next_op_ + 1] <= steps_done;
       ++next_op_) {
    callback_op_ = next_op_;
    op_callback_(op_context_, next_op_);
    callback_op_ = format::kAbsent;
  }
}

Status Session::run_step(const Step& step, ThreadLease* lease, Error* error) {
  const Plan& plan = model_->plan();
  const void* inputs[ops::kMaxCallInputs] = {nullptr, nullptr};
  for (int32_t i = 0; i < step.call.input_count; ++i) inputs[i] = address(step.call.inputs[i]);
  StepTask task{step.kernel,
                &step.call.problem,
                {inputs, activation(step.call.output),
                 step.packed_bytes != 0 ? plan.packed.data() + step.packed_offset : nullptr},
                scratch_,
                plan.scratch_bytes,
                {0}};
  if (step.parallel) {
    lease->parallel_for(step.items, run_range, &task);
  } else {
    run_range(&task, 0, 0, step.items);
  }
  if (task.result.load(std::memory_order_relaxed) == 0) return Status::kOk;
  return fail(error, Status::kNanInput, "op %u (%s) was given a NaN to quantize", step.op,
              model_->file().op_name(step.op));
}

Status Session::read_tensor(uint32_t tensor, void* data, size_t bytes, format::Dtype dtype,
                            Error* error) const {
  const format::ParsedModel& file = model_->file();
  if (tensor >= file.tensors.size())
    return fail(error, Status::kInvalidArgument, "there is no tensor %u", tensor);
  const format::TensorRecord& record = file.tensors[tensor];
  const bool dequantize = dtype == format::Dtype::kF32 &&
                          record.dtype == static_cast<uint8_t>(format::Dtype::kS8) &&
                          !file.is_constant(tensor);
  const int64_t count = format::element_count(record);
  if (!dequantize && static_cast<uint8_t>(dtype) != record.dtype) {
    return fail(error, Status::kInvalidArgument, "tensor '%s' is not of the type asked for",
                file.tensor_name(tensor));
  }
  const size_t want = static_cast<size_t>(dequantize ? count * 4 : format::tensor_bytes(record));
  if (data == nullptr || bytes != want) {
    return fail(error, Status::kInvalidArgument, "tensor '%s' has %zu bytes in that type, not %zu",
                file.tensor_name(tensor), want, bytes);
  }
  bool readable = file.is_constant(tensor) || (ran_ && model_->plan().keep_all);
  if (!readable && callback_op_ != format::kAbsent) {
    const format::OpRecord& op = file.ops[callback_op_];
    readable = model_->plan().keep_all || op.output == tensor;
    for (uint32_t i = 0; i < op.input_count; ++i)
      readable = readable || file.input_id(op, i) == tensor;
  }
  const uint8_t* source = address(tensor);
  if (!readable || source == nullptr) {
    return fail(error, Status::kWrongState,
                "tensor '%s' is not kept: load with keep_all and run first",
                file.tensor_name(tensor));
  }
  if (!dequantize) {
    memcpy(data, source, want);
    return Status::kOk;
  }
  const FpEnvScope fp_env;
  const int8_t* q = reinterpret_cast<const int8_t*>(source);
  for (int64_t i = 0; i < count; ++i) {
    static_cast<float*>(data)[i] = static_cast<float>(q[i] - record.zero_point) * record.scale;
  }
  return Status::kOk;
}

Status Session::set_timing(bool on, Error* error) {
  if (on && !step_times_.resize(model_->plan().steps.size())) {
    return fail(error, Status::kOutOfMemory, "no memory for the times of %zu steps",
                model_->plan().steps.size());
  }
  timing_ = on;
  return Status::kOk;
}

void Session::set_op_callback(OpCallback callback, void* context) {
  op_callback_ = callback;
  op_context_ = context;
}

}  // namespace edgecv::runtime
