#include "runtime/port_plan.h"

#include "kernels/registry.h"
#include "ops/op.h"

namespace edgecv::runtime {
namespace {

const kernels::Kernel* choose(kernels::Family family, const void* problem, uint32_t isa_mask,
                              PortPlan* port, Error* error) {
  const kernels::Kernel* kernel = kernels::choose_kernel(family, problem, isa_mask);
  if (kernel == nullptr) {
    fail(error, Status::kUnsupported, "no kernel for %s", kernels::family_name(family));
    return nullptr;
  }
  const uint64_t bytes = kernel->scratch_bytes != nullptr ? kernel->scratch_bytes(problem) : 0;
  if (port->scratch_bytes < bytes) port->scratch_bytes = bytes;
  return kernel;
}

}  // namespace

Status plan_port(const format::ParsedModel& model, const format::PortRecord& record, bool input,
                 uint32_t isa_mask, PortPlan* port, Error* error) {
  const format::TensorRecord& tensor = model.tensors[record.tensor];
  const int32_t bytes = static_cast<int32_t>(format::dtype_bytes(tensor.dtype));
  port->elements = format::element_count(tensor);
  int64_t stored[format::kMaxRank], api[format::kMaxRank] = {0}, api_dense = bytes;
  ops::dense_strides(tensor, stored);
  int previous = -1;
  bool same_order = true;
  for (int i = 0; i < tensor.rank; ++i) {
    stored[i] *= bytes;
    const int axis = record.perm[i];
    if (tensor.dims[axis] == 1) continue;
    same_order = same_order && axis > previous;
    previous = axis;
  }
  for (int i = tensor.rank - 1; i >= 0; --i) {  // api[]: by stored axis
    api[record.perm[i]] = api_dense;
    api_dense *= tensor.dims[record.perm[i]];
  }
  if (!same_order) {
    if (input) {
      port->move_problem = ops::make_move(bytes, tensor.rank, tensor.dims, api, stored, 0, 0);
    } else {
      int32_t dims[format::kMaxRank];
      int64_t from[format::kMaxRank], to[format::kMaxRank];
      for (int i = 0; i < tensor.rank; ++i) {
        dims[i] = tensor.dims[record.perm[i]];
        from[i] = stored[record.perm[i]];
        to[i] = api[record.perm[i]];
      }
      port->move_problem = ops::make_move(bytes, tensor.rank, dims, from, to, 0, 0);
    }
    port->move = choose(kernels::Family::kMove, &port->move_problem, isa_mask, port, error);
    if (port->move == nullptr) return Status::kUnsupported;
  }
  if (tensor.dtype == static_cast<uint8_t>(format::Dtype::kS8)) {
    port->convert_problem.runs = 1;
    port->convert_problem.count = port->elements;
    port->convert_problem.scale = tensor.scale;
    port->convert_problem.zero_point = tensor.zero_point;
    port->convert = choose(input ? kernels::Family::kQuantize : kernels::Family::kDequantize,
                           &port->convert_problem, isa_mask, port, error);
    if (port->convert == nullptr) return Status::kUnsupported;
    if (!same_order) port->staging_bytes = static_cast<uint64_t>(port->elements);
  }
  return Status::kOk;
}

}  // namespace edgecv::runtime
