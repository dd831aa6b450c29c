#include "runtime/model.h"

#include <stdio.h>

#include <new>

namespace edgecv::runtime {

Status Model::load(const ModelSource& source, const PlanOptions& options,
                   const format::Limits& limits, const Allocator& allocator, const LogSink& log,
                   Model** out, Error* error) {
  void* memory = allocator.allocate(allocator.context, sizeof(Model), kAlignment);
  if (memory == nullptr) return fail(error, Status::kOutOfMemory, "no memory for the model");
  Model* model = new (memory) Model(allocator);
  const Status status = model->open(source, options, limits, error);
  if (status != Status::kOk) {
    model->release();
    return status;
  }
  if (log.write != nullptr) {
    char text[256];
    snprintf(text, sizeof(text),
             "loaded %zu ops as %zu steps in %zu chains for %s, %d threads, arena %llu bytes, "
             "packed %zu bytes",
             model->file_.ops.size(), model->plan_.steps.size(), model->plan_.chains.size(),
             model->plan_.isa.name, model->plan_.threads,
             static_cast<unsigned long long>(model->plan_.layout.arena_bytes),
             model->plan_.packed.size());
    log.write(log.context, 0, text);
  }
  *out = model;
  return Status::kOk;
}

Status Model::open(const ModelSource& source, const PlanOptions& options,
                   const format::Limits& limits, Error* error) {
  const auto access = source.read_file ? format::Source::kRead : format::Source::kMap;
  if (source.path != nullptr) {
    EDGECV_TRY(source_.open_path(source.path, limits.file_bytes, error, access));
  } else if (source.fd >= 0) {
    EDGECV_TRY(source_.open_fd(source.fd, limits.file_bytes, error, access));
  } else if (source.borrow) {
    EDGECV_TRY(source_.borrow_bytes(source.bytes, source.size, limits.file_bytes, error));
  } else {
    EDGECV_TRY(source_.open_bytes(source.bytes, source.size, limits.file_bytes, error));
  }
  EDGECV_TRY(format::read_model(source_.data(), source_.size(), limits, &file_, error));
  source_.drop_pages();
  limits_ = limits;
  PlanOptions own = options;
  own.source = &source_;
  EDGECV_TRY(make_plan(file_, own, limits, allocator_, &plan_, error));
  return drop_packed_constants(error);
}

// Frees coded constants that nothing but the packing of weights has read.
Status Model::drop_packed_constants(Error* error) {
  bool any = false;
  for (size_t i = 0; i < file_.tensors.size(); ++i) any = any || file_.decoded[i] != nullptr;
  if (!any) return Status::kOk;
  Array<uint8_t> needed(allocator_);
  if (!needed.resize(file_.tensors.size())) {
    return fail(error, Status::kOutOfMemory, "no memory to mark %zu tensors",
                static_cast<size_t>(file_.tensors.size()));
  }
  for (uint32_t op = 0; op < file_.ops.size(); ++op) {
    const uint32_t first = plan_.first_step[op], last = plan_.first_step[op + 1];
    bool packed = first != last;
    for (uint32_t i = first; i < last; ++i) {
      const Step& step = plan_.steps[i];
      packed = packed && step.packed_bytes != 0 &&
               step.call.family <= kernels::Family::kConvTransposeF32;  // conv.h: weights
    }
    for (uint32_t i = 0; i < file_.ops[op].input_count; ++i) {
      const uint32_t id = file_.input_id(file_.ops[op], i);
      if (id != format::kAbsent && !(packed && i == 1)) needed[id] = 1;
    }
  }
  for (uint32_t i = 0; i < file_.tensors.size(); ++i) {
    if (file_.decoded[i] != nullptr && needed[i] == 0) file_.drop_decoded(i);
  }
  for (uint32_t i = 0; i < file_.tensors.size(); ++i) {
    plan_.layout.places[i].constant = file_.constants[plan_.roots[i]];
  }
  return Status::kOk;
}

void Model::release() {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  const Allocator allocator = allocator_;
  this->~Model();
  allocator.release(allocator.context, this);
}

}  // namespace edgecv::runtime
