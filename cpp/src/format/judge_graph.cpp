// Pre-processing, ports, and the order of the ops.
#include <inttypes.h>
#include <string.h>

#include "format/judge_records.h"

namespace edgecv::format {
namespace {

// docs/preprocess.md: modes and limits.
constexpr uint32_t kResizeNone = 0;
constexpr uint32_t kResizeShorterSide = 1;
constexpr uint32_t kResizeStretch = 2;
constexpr uint32_t kResizeLetterbox = 3;
constexpr uint32_t kColorGrey = 2;
constexpr int32_t kMaxSide = 8192;

int32_t preprocess_channels(const PreprocessRecord& record) {
  return record.color_order == kColorGrey ? 1 : 3;
}

bool preprocess_size(const PreprocessRecord& record, int32_t* height, int32_t* width) {
  const bool crop = record.crop_width > 0;
  *height = crop ? record.crop_height : record.resize_height;
  *width = crop ? record.crop_width : record.resize_width;
  return crop || record.resize_mode == kResizeStretch || record.resize_mode == kResizeLetterbox;
}

Status judge_side(uint32_t index, int32_t side, Error* error) {
  if (side < 1)
    return fail(error, Status::kCorrupt, "preprocess %u: a side of %d pixels", index, side);
  if (side > kMaxSide) {
    return fail(error, Status::kLimit, "preprocess %u: a side of %d pixels, the limit is %d", index,
                side, kMaxSide);
  }
  return Status::kOk;
}

Status judge_sizes(const PreprocessRecord& record, uint32_t i, Error* error) {
  if (record.resize_mode == kResizeNone) {
    if (record.resize_width != 0 || record.resize_height != 0) {
      return fail(error, Status::kCorrupt, "preprocess %u: a resize size without a resize mode", i);
    }
  } else {
    EDGECV_TRY(judge_side(i, record.resize_width, error));
    EDGECV_TRY(judge_side(i, record.resize_height, error));
  }
  if (record.resize_mode == kResizeShorterSide && record.resize_width != record.resize_height) {
    return fail(error, Status::kCorrupt, "preprocess %u: two different sizes for the shorter side",
                i);
  }
  if (record.crop_width != 0 || record.crop_height != 0) {
    EDGECV_TRY(judge_side(i, record.crop_width, error));
    EDGECV_TRY(judge_side(i, record.crop_height, error));
    if (record.resize_mode == kResizeLetterbox) {
      return fail(error, Status::kCorrupt, "preprocess %u: a letterbox cannot be cropped", i);
    }
  }
  return Status::kOk;
}

Status bad_port(const ParsedModel& model, uint32_t i, Status status, const char* rule,
                Error* error) {
  return fail(error, status, "port %u '%.120s': %s", i, model.text(model.ports[i].name), rule);
}

bool is_permutation(const PortRecord& port, int rank) {
  uint32_t seen = 0;
  for (int d = 0; d < kMaxRank; ++d) {
    if (d >= rank) {
      if (port.perm[d] != 0) return false;
      continue;
    }
    if (port.perm[d] >= rank || (seen & (1u << port.perm[d])) != 0) return false;
    seen |= 1u << port.perm[d];
  }
  return true;
}

Status judge_port_preprocess(const ParsedModel& model, uint32_t i, Error* error) {
  const PortRecord& port = model.ports[i];
  if (port.preprocess == kAbsent) return Status::kOk;
  if (port.kind != static_cast<uint8_t>(PortKind::kInput) ||
      port.preprocess >= model.preprocess.size()) {
    return bad_port(model, i, Status::kCorrupt, "no such pre-processing", error);
  }
  const PreprocessRecord& record = model.preprocess[port.preprocess];
  const TensorRecord& tensor = model.tensors[port.tensor];
  int32_t height = 0;
  int32_t width = 0;
  if (!preprocess_size(record, &height, &width) || tensor.rank != 4 ||
      tensor.dtype == static_cast<uint8_t>(Dtype::kS32) || tensor.dims[1] != height ||
      tensor.dims[2] != width || tensor.dims[3] != preprocess_channels(record)) {
    return bad_port(model, i, Status::kCorrupt, "its pre-processing does not give its shape",
                    error);
  }
  return Status::kOk;
}

bool same_text(const ParsedModel& model, StringRef a, StringRef b) {
  return a.size == b.size && memcmp(model.text(a), model.text(b), a.size) == 0;
}

Status judge_port(const ParsedModel& model, uint32_t i, const Limits& limits, Error* error) {
  const PortRecord& port = model.ports[i];
  EDGECV_TRY(judge_string(model, port.name, limits.name_bytes, false, "port", i, error));
  if (port.kind > static_cast<uint8_t>(PortKind::kOutput) || !all_zero(port.reserved0) ||
      port.exit != 0 || !all_zero(port.reserved)) {
    return bad_port(model, i, unknown_value(model), "unknown kind or reserved fields", error);
  }
  if (port.name.size == 0)
    return bad_port(model, i, Status::kCorrupt, "a port needs a name", error);
  if (port.tensor >= model.tensors.size() || model.is_constant(port.tensor)) {
    return bad_port(model, i, Status::kCorrupt, "its tensor is out of range or a constant", error);
  }
  const int rank = model.tensors[port.tensor].rank;
  if (port.api_rank != rank || !is_permutation(port, rank)) {
    return bad_port(model, i, Status::kCorrupt, "the axes are no permutation of its tensor's",
                    error);
  }
  EDGECV_TRY(judge_port_preprocess(model, i, error));
  for (uint32_t j = 0; j < i; ++j) {
    const PortRecord& other = model.ports[j];
    if (other.kind > port.kind) {
      return bad_port(model, i, Status::kCorrupt, "inputs come before outputs", error);
    }
    if (other.kind != port.kind) continue;
    if (same_text(model, other.name, port.name)) {
      return bad_port(model, i, Status::kCorrupt, "a second port of that name", error);
    }
    if (port.kind == static_cast<uint8_t>(PortKind::kInput) && other.tensor == port.tensor) {
      return bad_port(model, i, Status::kCorrupt, "a second input of the same tensor", error);
    }
  }
  return Status::kOk;
}

enum Written : uint8_t { kNotYet = 0, kByInput = 1, kByOp = 2 };

Status judge_op_record(const ParsedModel& model, uint32_t i, const Limits& limits,
                       uint64_t next_operand, const Array<uint8_t>& written, Error* error) {
  const OpRecord& op = model.ops[i];
  EDGECV_TRY(judge_string(model, op.name, limits.name_bytes, false, "op", i, error));
  if (op_code_name(op.code) == nullptr) {
    return fail(error, unknown_value(model), "op %u '%.120s': unknown op code %u", i,
                model.op_name(i), op.code);
  }
  if (op.flags != 0 || op.exit != 0 || !all_zero(op.reserved)) {
    return fail(error, unknown_value(model), "op %u '%.120s': reserved fields are not zero", i,
                model.op_name(i));
  }
  if (op.first_input != next_operand || op.input_count > model.operands.size() - next_operand) {
    return fail(error, Status::kCorrupt,
                "op %u '%.120s': %u inputs from %u; they have to begin at %" PRIu64
                " and lie within EPRD",
                i, model.op_name(i), op.input_count, op.first_input, next_operand);
  }
  for (uint32_t k = 0; k < op.input_count; ++k) {
    const uint32_t id = model.operands[op.first_input + k];
    if (id == kAbsent) continue;
    if (id >= model.tensors.size()) {
      return fail(error, Status::kCorrupt, "op %u '%.120s': input %u is tensor %u of %zu", i,
                  model.op_name(i), k, id, model.tensors.size());
    }
    if (!model.is_constant(id) && written[id] == kNotYet) {
      return fail(error, Status::kCorrupt,
                  "op %u '%.120s': reads tensor %u '%.80s' before it is written", i,
                  model.op_name(i), id, model.tensor_name(id));
    }
  }
  if (op.output >= model.tensors.size() || model.is_constant(op.output) ||
      written[op.output] != kNotYet) {
    return fail(error, Status::kCorrupt,
                "op %u '%.120s': its output %u is out of range, a constant or written twice", i,
                model.op_name(i), op.output);
  }
  return Status::kOk;
}

}  // namespace

Status judge_preprocess(const ParsedModel& model, Error* error) {
  for (uint32_t i = 0; i < model.preprocess.size(); ++i) {
    const PreprocessRecord& record = model.preprocess[i];
    if (record.resize_mode > kResizeLetterbox || record.interpolation > 1 || record.antialias > 1 ||
        record.color_order > kColorGrey || !all_zero(record.reserved)) {
      return fail(error, unknown_value(model), "preprocess %u: unknown mode or reserved fields", i);
    }
    EDGECV_TRY(judge_sizes(record, i, error));
    for (int c = 0; c < 4; ++c) {
      const bool used = c < preprocess_channels(record);
      const bool good = used ? in_range(record.mean[c], -65536.0f, 65536.0f) &&
                                   in_range(record.std[c], 0x1p-20f, 65536.0f)
                             : record.mean[c] == 0.0f && record.std[c] == 1.0f;
      if (!good)
        return fail(error, Status::kCorrupt, "preprocess %u: bad mean or std of channel %d", i, c);
    }
    if (record.fill[3] != 0)
      return fail(error, Status::kCorrupt, "preprocess %u: bad fill colour", i);
  }
  return Status::kOk;
}

Status judge_ports(ParsedModel* model, const Limits& limits, Error* error) {
  model->input_ports = 0;
  for (uint32_t i = 0; i < model->ports.size(); ++i) {
    EDGECV_TRY(judge_port(*model, i, limits, error));
    if (model->ports[i].kind == static_cast<uint8_t>(PortKind::kInput)) ++model->input_ports;
  }
  if (model->input_ports == 0 || model->input_ports == model->ports.size()) {
    return fail(error, Status::kCorrupt, "a model needs an input and an output");
  }
  return Status::kOk;
}

Status judge_graph(ParsedModel* model, const Limits& limits, Error* error) {
  Array<uint8_t> written(model->allocator);
  if (!written.resize(model->tensors.size())) {
    return fail(error, Status::kOutOfMemory, "no memory for %zu tensors", model->tensors.size());
  }
  for (uint32_t i = 0; i < model->input_ports; ++i) written[model->ports[i].tensor] = kByInput;
  uint64_t next_operand = 0;
  for (uint32_t i = 0; i < model->ops.size(); ++i) {
    EDGECV_TRY(judge_op_record(*model, i, limits, next_operand, written, error));
    next_operand += model->ops[i].input_count;
    written[model->ops[i].output] = kByOp;
  }
  if (next_operand != model->operands.size()) {
    return fail(error, Status::kCorrupt, "EPRD has %zu ids, the ops use %" PRIu64,
                model->operands.size(), next_operand);
  }
  for (uint32_t i = 0; i < model->tensors.size(); ++i) {
    if (!model->is_constant(i) && written[i] == kNotYet) {
      return fail(error, Status::kCorrupt, "tensor %u '%.120s' is never written", i,
                  model->tensor_name(i));
    }
  }
  for (uint32_t i = model->input_ports; i < model->ports.size(); ++i) {
    if (written[model->ports[i].tensor] != kByOp) {
      return bad_port(*model, i, Status::kCorrupt, "an output has to be the output of an op",
                      error);
    }
  }
  return Status::kOk;
}

}  // namespace edgecv::format
