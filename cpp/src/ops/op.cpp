#include "ops/op.h"

#include <string.h>

namespace edgecv::ops {

#define EDGECV_OP(name, code) Status lower_##name(Lowering* lowering);
#include "ops/op_list.inc"
#undef EDGECV_OP

Call* Lowering::add(kernels::Family family, int32_t inputs) {
  Call call;
  memset(static_cast<void*>(&call), 0, sizeof(call));
  call.family = family;
  call.output = op.output;
  call.bytes = format::tensor_bytes(out());
  for (int32_t i = 0; i < inputs; ++i) {
    call.inputs[call.input_count++] = model.input_id(op, static_cast<uint32_t>(i));
    call.bytes += format::tensor_bytes(in(static_cast<uint32_t>(i)));
  }
  if (!calls->push_back(call)) return nullptr;
  return &(*calls)[calls->size() - 1];
}

Status lower_op(const format::ParsedModel& model, uint32_t index, const View* views,
                Array<Call>* calls, Error* error) {
  Lowering lowering{model, model.ops[index], views, calls};
  Status status = Status::kInternal;
  switch (lowering.op.code) {
#define EDGECV_OP(name, code)         \
  case code:                          \
    status = lower_##name(&lowering); \
    break;
#include "ops/op_list.inc"
#undef EDGECV_OP
    default:
      break;
  }
  if (status == Status::kOk) return status;
  return fail(error, status, "op %u (%s) cannot be planned: %s", index, model.op_name(index),
              status_name(status));
}

void pixel_strides(const format::TensorRecord& tensor, int64_t pixel_stride, int64_t* strides) {
  int64_t stride = 1;
  for (int i = tensor.rank - 1; i >= 0; --i) {
    strides[i] = stride;
    stride = i == tensor.rank - 1 ? pixel_stride : stride * tensor.dims[i];
  }
}

void dense_strides(const format::TensorRecord& tensor, int64_t* strides) {
  pixel_strides(tensor, last_dim(tensor), strides);
}

}  // namespace edgecv::ops
