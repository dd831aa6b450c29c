// Graph inputs and outputs of a session: layouts, quantization, pictures.
#include <string.h>

#include "base/fp_env.h"
#include "runtime/session.h"

namespace edgecv::runtime {
namespace {

using format::Dtype;
using format::PortRecord;
using format::TensorRecord;

const char* dtype_name(Dtype dtype) {
  return dtype == Dtype::kF32   ? "f32"
         : dtype == Dtype::kS8  ? "s8"
         : dtype == Dtype::kS32 ? "s32"
                                : "unknown";
}

bool misaligned(const void* data, Dtype dtype) {
  return reinterpret_cast<uintptr_t>(data) %
             static_cast<uintptr_t>(format::dtype_bytes(static_cast<uint8_t>(dtype))) !=
         0;
}

bool holds_nan(const float* values, int64_t count) {
  int found = 0;
  for (int64_t i = 0; i < count; ++i) found |= values[i] != values[i];
  return found != 0;
}

}  // namespace

vision::PreprocessSpec preprocess_spec(const format::PreprocessRecord& record) {
  vision::PreprocessSpec spec;
  memset(static_cast<void*>(&spec), 0, sizeof(spec));
  spec.resize_mode = static_cast<vision::ResizeMode>(record.resize_mode);
  spec.interpolation = static_cast<vision::Interpolation>(record.interpolation);
  spec.antialias = record.antialias;
  spec.resize_width = record.resize_width;
  spec.resize_height = record.resize_height;
  spec.crop_width = record.crop_width;
  spec.crop_height = record.crop_height;
  spec.color_order = static_cast<vision::ColorOrder>(record.color_order);
  memcpy(spec.mean, record.mean, sizeof(spec.mean));
  memcpy(spec.std, record.std, sizeof(spec.std));
  memcpy(spec.fill, record.fill, sizeof(spec.fill));
  return spec;
}

Status Session::find_port(bool input, uint32_t index, const PortRecord** record,
                          const PortPlan** port, Error* error) const {
  const format::ParsedModel& file = model_->file();
  const uint32_t outputs = static_cast<uint32_t>(file.ports.size()) - file.input_ports;
  const uint32_t count = input ? file.input_ports : outputs;
  if (index >= count) {
    return fail(error, Status::kInvalidArgument, "there is no %s %u: the model has %u",
                input ? "input" : "output", index, count);
  }
  const uint32_t at = input ? index : file.input_ports + index;
  *record = &file.ports[at];
  *port = &plan_->ports[at];
  return Status::kOk;
}

Status Session::set_input(uint32_t index, const void* data, size_t bytes, Dtype dtype, bool api,
                          Error* error) {
  const PortRecord* record = nullptr;
  const PortPlan* port = nullptr;
  EDGECV_TRY(find_port(true, index, &record, &port, error));
  const char* name = model_->file().text(record->name);
  const TensorRecord& tensor = model_->file().tensors[record->tensor];
  const Dtype stored = static_cast<Dtype>(tensor.dtype);
  const bool quantize = stored == Dtype::kS8 && dtype == Dtype::kF32;
  if (!quantize && dtype != stored) {
    return fail(error, Status::kInvalidArgument, "input '%s' takes %s%s, not %s", name,
                dtype_name(stored), stored == Dtype::kS8 ? " or f32" : "", dtype_name(dtype));
  }
  const size_t want =
      static_cast<size_t>(port->elements * format::dtype_bytes(static_cast<uint8_t>(dtype)));
  if (data == nullptr || bytes != want) {
    return fail(error, Status::kInvalidArgument, "input '%s' takes %zu bytes of %s, not %zu", name,
                want, dtype_name(dtype), data == nullptr ? 0 : bytes);
  }
  if (misaligned(data, dtype)) {
    return fail(error, Status::kInvalidArgument,
                "the data of input '%s' is not aligned to its elements", name);
  }
  const FpEnvScope fp_env;
  ran_ = false;  // outputs may lie where inputs do
  input_set_[index] = 0;
  uint8_t* destination = activation(record->tensor);
  const bool move = api && port->move != nullptr;
  int result = 0;
  if (quantize) {
    uint8_t* staging = move ? block_ + layout_->arena_bytes : destination;
    result = run_port(*port->convert, &port->convert_problem, port->elements, data, staging);
    if (result == 0 && move)
      run_port(*port->move, &port->move_problem, port->elements, staging, destination);
  } else {
    if (dtype == Dtype::kF32 && holds_nan(static_cast<const float*>(data), port->elements)) {
      result = kernels::kNanFound;
    } else if (move) {
      run_port(*port->move, &port->move_problem, port->elements, data, destination);
    } else {
      memcpy(destination, data, bytes);
    }
  }
  if (result != 0) return fail(error, Status::kNanInput, "input '%s' holds a NaN", name);
  input_set_[index] = 1;
  return Status::kOk;
}

Status Session::map_input(uint32_t index, void** data, size_t* bytes, Error* error) {
  const PortRecord* record = nullptr;
  const PortPlan* port = nullptr;
  EDGECV_TRY(find_port(true, index, &record, &port, error));
  ran_ = false;
  input_set_[index] = 1;
  *data = activation(record->tensor);
  *bytes = static_cast<size_t>(format::tensor_bytes(model_->file().tensors[record->tensor]));
  return Status::kOk;
}

Status Session::set_frame(uint32_t index, uint32_t batch, const vision::Frame& frame,
                          Error* error) {
  const PortRecord* record = nullptr;
  const PortPlan* port = nullptr;
  EDGECV_TRY(find_port(true, index, &record, &port, error));
  const format::ParsedModel& file = model_->file();
  const char* name = file.text(record->name);
  const TensorRecord& tensor = file.tensors[record->tensor];
  if (record->preprocess == format::kAbsent) {
    return fail(error, Status::kWrongState, "input '%s' has no pre-processing in the file", name);
  }
  if (tensor.rank != 4 || batch >= static_cast<uint32_t>(tensor.dims[0])) {
    return fail(error, Status::kInvalidArgument, "input '%s' has no picture %u", name, batch);
  }
  const vision::PreprocessSpec spec = preprocess_spec(file.preprocess[record->preprocess]);
  vision::PreprocessGeometry geometry;
  EDGECV_TRY(
      vision::preprocess_geometry(spec, frame.region_width, frame.region_height, &geometry, error));
  if (geometry.height != tensor.dims[1] || geometry.width != tensor.dims[2] ||
      vision::preprocess_channels(spec) != tensor.dims[3]) {
    return fail(error, Status::kInvalidArgument,
                "input '%s' takes %dx%d pixels of %d channels, the picture gives %dx%d of %d", name,
                tensor.dims[2], tensor.dims[1], tensor.dims[3], geometry.width, geometry.height,
                vision::preprocess_channels(spec));
  }
  const size_t bytes =
      static_cast<size_t>(format::tensor_bytes(tensor)) / static_cast<size_t>(tensor.dims[0]);
  vision::PreprocessOutput output;
  output.kind = tensor.dtype == static_cast<uint8_t>(Dtype::kS8) ? vision::OutputKind::kS8
                                                                 : vision::OutputKind::kF32;
  output.data = activation(record->tensor) + batch * bytes;
  output.bytes = bytes;
  output.scale = tensor.scale;
  output.zero_point = tensor.zero_point;
  const FpEnvScope fp_env;
  ran_ = false;
  input_set_[index] = 0;
  EDGECV_TRY(vision::preprocess_frame(spec, frame, output, model_->allocator(), error));
  if (batch + 1 == static_cast<uint32_t>(tensor.dims[0])) input_set_[index] = 1;
  return Status::kOk;
}

Status Session::get_output(uint32_t index, void* data, size_t bytes, Dtype dtype, bool api,
                           Error* error) const {
  const PortRecord* record = nullptr;
  const PortPlan* port = nullptr;
  EDGECV_TRY(find_port(false, index, &record, &port, error));
  const char* name = model_->file().text(record->name);
  const TensorRecord& tensor = model_->file().tensors[record->tensor];
  const Dtype stored = static_cast<Dtype>(tensor.dtype);
  const bool dequantize = stored == Dtype::kS8 && dtype == Dtype::kF32;
  if (!dequantize && dtype != stored) {
    return fail(error, Status::kInvalidArgument, "output '%s' gives %s%s, not %s", name,
                dtype_name(stored), stored == Dtype::kS8 ? " or f32" : "", dtype_name(dtype));
  }
  const size_t want =
      static_cast<size_t>(port->elements * format::dtype_bytes(static_cast<uint8_t>(dtype)));
  if (data == nullptr || bytes != want) {
    return fail(error, Status::kInvalidArgument, "output '%s' gives %zu bytes of %s, not %zu", name,
                want, dtype_name(dtype), data == nullptr ? 0 : bytes);
  }
  if (misaligned(data, dtype)) {
    return fail(error, Status::kInvalidArgument,
                "the memory for output '%s' is not aligned to its elements", name);
  }
  if (!ran_)
    return fail(error, Status::kWrongState, "no run is complete: output '%s' holds nothing", name);
  const FpEnvScope fp_env;
  const uint8_t* source = address(record->tensor);
  const bool move = api && port->move != nullptr;
  if (dequantize) {
    if (move) {
      uint8_t* staging = block_ + layout_->arena_bytes;
      run_port(*port->move, &port->move_problem, port->elements, source, staging);
      source = staging;
    }
    run_port(*port->convert, &port->convert_problem, port->elements, source, data);
  } else if (move) {
    run_port(*port->move, &port->move_problem, port->elements, source, data);
  } else {
    memcpy(data, source, bytes);
  }
  return Status::kOk;
}

Status Session::map_output(uint32_t index, const void** data, size_t* bytes, Error* error) const {
  const PortRecord* record = nullptr;
  const PortPlan* port = nullptr;
  EDGECV_TRY(find_port(false, index, &record, &port, error));
  if (!ran_) {
    return fail(error, Status::kWrongState, "no run is complete: output '%s' holds nothing",
                model_->file().text(record->name));
  }
  *data = address(record->tensor);
  *bytes = static_cast<size_t>(format::tensor_bytes(model_->file().tensors[record->tensor]));
  return Status::kOk;
}

}  // namespace edgecv::runtime
