#include "runtime/session.h"

#include <string.h>

#include <new>

#include "base/fp_env.h"

namespace edgecv::runtime {
Session::Session(Model* model, const Plan* plan)
    : model_(model),
      plan_(plan),
      layout_(&plan->layout),
      own_layout_(model->allocator()),
      input_set_(model->allocator()),
      step_times_(model->allocator()),
      link_times_(model->allocator()) {
  model_->retain();
}

Session::~Session() {
  const Allocator& allocator = model_->allocator();
  allocator.release(allocator.context, block_);
  allocator.release(allocator.context, scratch_);
}

Status Session::create(Model* model, Session** out, Error* error, bool traced, const Plan* plan) {
  const Allocator& allocator = model->allocator();
  void* memory = allocator.allocate(allocator.context, sizeof(Session), kAlignment);
  if (memory == nullptr) return fail(error, Status::kOutOfMemory, "no memory for the session");
  Session* session = new (memory) Session(model, plan != nullptr ? plan : &model->plan());
  const Status status = session->allocate(traced, error);
  if (status != Status::kOk) {
    session->destroy();
    return status;
  }
  prepare_threads(session->plan_->threads);
  *out = session;
  return Status::kOk;
}

void Session::destroy() {
  Model* model = model_;
  this->~Session();
  model->allocator().release(model->allocator().context, this);
  model->release();
}

Status Session::allocate(bool traced, Error* error) {
  const Allocator& allocator = model_->allocator();
  const Plan& plan = *plan_;
  if (traced && !plan.layout.keep_all) {
    EDGECV_TRY(make_layout(model_->file(), plan, false, true, model_->limits(), allocator,
                           &own_layout_, error));
    layout_ = &own_layout_;
  }
  const size_t block_bytes = layout_->arena_bytes + plan.staging_bytes;
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
  const TensorPlace& place = layout_->places[tensor];
  if (place.constant != nullptr) return place.constant;
  return place.offset < 0 ? nullptr : block_ + place.offset;
}

uint8_t* Session::activation(uint32_t tensor) {
  const TensorPlace& place = layout_->places[tensor];
  return place.constant != nullptr || place.offset < 0 ? nullptr : block_ + place.offset;
}

void Session::gather(uint32_t tensor, void* data) const {
  copy_pixels(tensor, address(tensor), plan_->views[tensor].stride, data, 0);
}

void Session::scatter(uint32_t tensor, const void* data) {
  copy_pixels(tensor, data, 0, activation(tensor), plan_->views[tensor].stride);
}

// Strides in elements from pixel to pixel; 0: no gaps.
void Session::copy_pixels(uint32_t tensor, const void* from, int64_t from_stride, void* to,
                          int64_t to_stride) const {
  const format::TensorRecord& record = model_->file().tensors[tensor];
  const int64_t channels = ops::last_dim(record), bytes = format::dtype_bytes(record.dtype);
  const int64_t pixels = format::element_count(record) / channels;
  const int64_t from_step = (from_stride == 0 ? channels : from_stride) * bytes;
  const int64_t to_step = (to_stride == 0 ? channels : to_stride) * bytes;
  for (int64_t p = 0; p < pixels; ++p) {
    memcpy(static_cast<uint8_t*>(to) + p * to_step,
           static_cast<const uint8_t*>(from) + p * from_step,
           static_cast<size_t>(channels * bytes));
  }
}

bool Session::inside_chain(uint32_t tensor) const {
  if (!layout_->chains) return false;
  for (const Chain& chain : plan_->chains) {
    for (uint32_t i = 0; i + 1 < chain.link_count; ++i) {
      if (plan_->steps[chain.first_step + i].call.output == tensor) return true;
    }
  }
  return false;
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
  if (file.is_constant(tensor) && file.constants[tensor] == nullptr)
    return format::decode_constant(file, tensor, static_cast<uint8_t*>(data), error);
  bool readable = file.is_constant(tensor) || (ran_ && layout_->keep_all);
  if (!readable && callback_op_ != format::kAbsent) {
    const format::OpRecord& op = file.ops[callback_op_];
    readable = layout_->keep_all || op.output == tensor;
    for (uint32_t i = 0; i < op.input_count; ++i)
      readable = readable || file.input_id(op, i) == tensor;
  }
  const uint8_t* source = address(tensor);
  if (inside_chain(tensor)) {
    return fail(error, Status::kWrongState,
                "tensor '%s' is never whole in memory, it lies inside a chain of steps: use a "
                "traced session, or load with keep_all",
                file.tensor_name(tensor));
  }
  if (!readable || source == nullptr) {
    return fail(error, Status::kWrongState,
                "tensor '%s' is not kept: use a traced session, or load with keep_all, and run "
                "first",
                file.tensor_name(tensor));
  }
  gather(tensor, data);
  if (!dequantize) return Status::kOk;
  const FpEnvScope fp_env;
  const int8_t* q = static_cast<const int8_t*>(data);
  for (int64_t i = count; i-- > 0;) {  // backwards: a float lies over the values before it
    const float value = static_cast<float>(q[i] - record.zero_point) * record.scale;
    memcpy(static_cast<uint8_t*>(data) + 4 * i, &value, sizeof(value));
  }
  return Status::kOk;
}

Status Session::set_timing(bool on, Error* error) {
  const size_t links = static_cast<size_t>(plan_->threads) * kMaxChainLinks;
  if (on && (!step_times_.resize(plan_->steps.size()) || !link_times_.resize(links))) {
    return fail(error, Status::kOutOfMemory, "no memory for the times of %zu steps",
                plan_->steps.size());
  }
  timing_ = on;
  return Status::kOk;
}

void Session::set_op_callback(OpCallback callback, void* context) {
  op_callback_ = callback;
  op_context_ = context;
}

}  // namespace edgecv::runtime
