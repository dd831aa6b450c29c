// Tensors, ops and steps of a model; this machine and its kernels.
#include "capi/capi.h"
#include "kernels/cpu_features.h"
#include "kernels/registry.h"
#include "runtime/thread_pool.h"

using namespace edgecv;        // NOLINT: the shell's own functions have C names
using namespace edgecv::capi;  // NOLINT

extern "C" {

edgecv_status edgecv_model_tensor(const edgecv_model* model, uint32_t index,
                                  edgecv_tensor_info* info, edgecv_error* error) {
  return call(error, [&](Error* e) {
    if (model == nullptr) return null_argument("`model`", e);
    const format::ParsedModel& file = unwrap(model)->file();
    if (index >= file.tensors.size()) return no_such("tensor", index, file.tensors.size(), e);
    const format::TensorRecord& tensor = file.tensors[index];
    const runtime::TensorPlace& place = unwrap(model)->plan().layout.places[index];
    edgecv_tensor_info full;
    memset(&full, 0, sizeof(full));
    full.name = file.tensor_name(index);
    full.dtype = static_cast<edgecv_dtype>(tensor.dtype);
    full.constant = file.is_constant(index) ? 1 : 0;
    full.rank = tensor.rank;
    memcpy(full.dims, tensor.dims, sizeof(full.dims));
    full.scale = tensor.scale;
    full.zero_point = tensor.zero_point;
    full.bytes = static_cast<uint64_t>(format::tensor_bytes(tensor));
    full.arena_offset = place.constant != nullptr ? -1 : place.offset;
    return give_info(info, full, e);
  });
}

edgecv_status edgecv_model_op(const edgecv_model* model, uint32_t index, edgecv_op_info* info,
                              edgecv_error* error) {
  return call(error, [&](Error* e) {
    if (model == nullptr) return null_argument("`model`", e);
    const format::ParsedModel& file = unwrap(model)->file();
    const runtime::Plan& plan = unwrap(model)->plan();
    if (index >= file.ops.size()) return no_such("op", index, file.ops.size(), e);
    const format::OpRecord& op = file.ops[index];
    edgecv_op_info full;
    memset(&full, 0, sizeof(full));
    full.name = file.op_name(index);
    full.code = format::op_code_name(op.code);
    full.output = op.output;
    full.input_count = op.input_count;
    full.first_step = plan.first_step[index];
    full.step_count = plan.first_step[index + 1] - plan.first_step[index];
    for (uint32_t i = 0; i < full.step_count; ++i) {
      full.macs += static_cast<uint64_t>(plan.steps[full.first_step + i].call.macs);
    }
    return give_info(info, full, e);
  });
}

edgecv_status edgecv_model_op_input(const edgecv_model* model, uint32_t op, uint32_t input,
                                    uint32_t* tensor, edgecv_error* error) {
  return call(error, [&](Error* e) {
    if (model == nullptr) return null_argument("`model`", e);
    if (tensor == nullptr) return null_argument("`tensor`", e);
    const format::ParsedModel& file = unwrap(model)->file();
    if (op >= file.ops.size()) return no_such("op", op, file.ops.size(), e);
    if (input >= file.ops[op].input_count)
      return no_such("operand", input, file.ops[op].input_count, e);
    *tensor = file.input_id(file.ops[op], input);
    return Status::kOk;
  });
}

edgecv_status edgecv_model_step(const edgecv_model* model, uint32_t index, edgecv_step_info* info,
                                edgecv_error* error) {
  return call(error, [&](Error* e) {
    if (model == nullptr) return null_argument("`model`", e);
    const runtime::Plan& plan = unwrap(model)->plan();
    if (index >= plan.steps.size()) return no_such("step", index, plan.steps.size(), e);
    const runtime::Step& step = plan.steps[index];
    edgecv_step_info full;
    memset(&full, 0, sizeof(full));
    full.op = step.op;
    full.output = step.call.output;
    full.family = kernels::family_name(step.call.family);
    full.kernel = step.kernel->name;
    full.isa = step.kernel->isa;
    full.packed_bytes = step.packed_bytes;
    full.scratch_bytes = step.scratch_bytes;
    full.macs = static_cast<uint64_t>(step.call.macs);
    full.work_items = step.items;
    full.parallel = step.parallel ? 1 : 0;
    full.chain = step.chain;
    return give_info(info, full, e);
  });
}

edgecv_status edgecv_model_chain(const edgecv_model* model, uint32_t index, edgecv_chain_info* info,
                                 edgecv_error* error) {
  return call(error, [&](Error* e) {
    if (model == nullptr) return null_argument("`model`", e);
    const runtime::Plan& plan = unwrap(model)->plan();
    if (index >= plan.chains.size()) return no_such("chain", index, plan.chains.size(), e);
    const runtime::Chain& chain = plan.chains[index];
    edgecv_chain_info full;
    memset(&full, 0, sizeof(full));
    full.first_step = chain.first_step;
    full.step_count = chain.link_count;
    full.stripe_rows = chain.stripe;
    full.stripes = chain.stripes;
    full.buffer_bytes = chain.buffer_bytes;
    return give_info(info, full, e);
  });
}

const char* edgecv_isa_name(uint32_t index, int32_t* usable) {
  const char* name = kernels::isa_name(index);
  if (name != nullptr && usable != nullptr) {
    uint32_t mask;
    *usable = kernels::isa_mask_for(name, kernels::detect_isa_bits(), &mask, nullptr) == Status::kOk
                  ? 1
                  : 0;
  }
  return name;
}

void edgecv_cpu_name(char* text, size_t size) {
  if (text != nullptr && size != 0) kernels::describe_cpu(text, size);
}

int32_t edgecv_available_threads(void) { return runtime::available_threads(); }

uint32_t edgecv_kernel_count(void) { return static_cast<uint32_t>(kernels::kernel_count()); }

edgecv_status edgecv_kernel_at(uint32_t index, edgecv_kernel_info* info, edgecv_error* error) {
  return call(error, [&](Error* e) {
    if (index >= kernels::kernel_count())
      return no_such("kernel", index, kernels::kernel_count(), e);
    const kernels::Kernel& kernel = kernels::kernel_at(index);
    edgecv_kernel_info full;
    memset(&full, 0, sizeof(full));
    full.name = kernel.name;
    full.family = kernels::family_name(kernel.family);
    full.isa = kernel.isa;
    full.usable = (kernel.needs & ~kernels::detect_isa_bits()) == 0 ? 1 : 0;
    return give_info(info, full, e);
  });
}

}  // extern "C"
