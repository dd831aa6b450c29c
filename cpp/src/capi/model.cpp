// Loading, and what the graph's inputs and outputs are.
#include "capi/capi.h"
#include "runtime/chain_plan.h"
#include "runtime/verify.h"

using namespace edgecv;        // NOLINT: the shell's own functions have C names
using namespace edgecv::capi;  // NOLINT

namespace {

Status check_switch(const char* name, int32_t value, Error* error) {
  if (value == 0 || value == 1) return Status::kOk;
  return fail(error, Status::kInvalidArgument, "%s is %d, not 0 or 1", name, value);
}

Status load(const runtime::ModelSource& source, const edgecv_load_options* options,
            edgecv_model** model, Error* error) {
  if (model == nullptr) return null_argument("`model`", error);
  edgecv_load_options given;
  memset(&given, 0, sizeof(given));
  if (options != nullptr) {
    EDGECV_TRY(check_struct("the load options", options, options->size, sizeof(options->size) + 1,
                            sizeof(given), error));
    memcpy(&given, options, options->size < sizeof(given) ? options->size : sizeof(given));
  }
  if (given.threads < 0)
    return fail(error, Status::kInvalidArgument, "threads is %d", given.threads);
  EDGECV_TRY(check_switch("keep_all", given.keep_all, error));
  EDGECV_TRY(check_switch("borrow", given.borrow, error));
  EDGECV_TRY(check_switch("read_file", given.read_file, error));
  if (given.reserved != 0)
    return fail(error, Status::kInvalidArgument, "reserved is %d, not 0", given.reserved);
  Allocator allocator = default_allocator();
  if (given.allocator.allocate != nullptr) {
    if (given.allocator.release == nullptr)
      return null_argument("the allocator's `release`", error);
    allocator = {given.allocator.context, given.allocator.allocate, given.allocator.release};
  }
  format::Limits limits;
  if (given.max_file_bytes != 0) limits.file_bytes = given.max_file_bytes;
  if (given.max_arena_bytes != 0) limits.arena_bytes = given.max_arena_bytes;
  if (given.max_work != 0) {  // the reader adds up work in 63 bits
    constexpr uint64_t kMost = uint64_t{1} << 62;
    limits.work = static_cast<int64_t>(given.max_work < kMost ? given.max_work : kMost);
  }
  runtime::ModelSource from = source;
  from.borrow = given.borrow != 0;
  from.read_file = given.read_file != 0;
  runtime::PlanOptions plan;
  plan.threads = given.threads;
  plan.isa = given.isa;
  plan.keep_all = given.keep_all != 0;
  EDGECV_TRY(runtime::choose_chain_mode(given.chains, &plan.chains, error));
  // edgecv_log_level is an enum of the caller's; an int of the same values goes through.
  struct Log {
    edgecv_log_function function;
    void* context;
  } log = {given.log, given.log_context};
  runtime::LogSink sink;
  if (log.function != nullptr) {
    sink.context = &log;
    sink.write = [](void* context, int level, const char* text) {
      const Log* to = static_cast<const Log*>(context);
      to->function(to->context, static_cast<edgecv_log_level>(level), text);
    };
  }
  runtime::Model* loaded = nullptr;
  EDGECV_TRY(runtime::Model::load(from, plan, limits, allocator, sink, &loaded, error));
  *model = reinterpret_cast<edgecv_model*>(loaded);
  return Status::kOk;
}

Status give_port(const edgecv_model* handle, bool input, uint32_t index, edgecv_port_info* info,
                 Error* error) {
  if (handle == nullptr) return null_argument("`model`", error);
  const format::ParsedModel& file = unwrap(handle)->file();
  const size_t count = input ? file.input_ports : file.ports.size() - file.input_ports;
  if (index >= count) return no_such(input ? "input" : "output", index, count, error);
  const format::PortRecord& port = file.ports[input ? index : file.input_ports + index];
  const format::TensorRecord& tensor = file.tensors[port.tensor];
  edgecv_port_info full;
  memset(&full, 0, sizeof(full));
  full.name = file.text(port.name);
  full.tensor = port.tensor;
  full.dtype = static_cast<edgecv_dtype>(tensor.dtype);
  full.rank = tensor.rank;
  for (int i = 0; i < tensor.rank; ++i) {
    full.perm[i] = port.perm[i];
    full.dims[i] = tensor.dims[port.perm[i]];
    full.stored_dims[i] = tensor.dims[i];
  }
  full.scale = tensor.scale;
  full.zero_point = tensor.zero_point;
  full.preprocess = port.preprocess == format::kAbsent ? -1 : static_cast<int32_t>(port.preprocess);
  full.elements = static_cast<uint64_t>(format::element_count(tensor));
  return give_info(info, full, error);
}

}  // namespace

extern "C" {

int32_t edgecv_api_version(void) { return EDGECV_API_VERSION; }

const char* edgecv_version(void) { return EDGECV_VERSION; }

const char* edgecv_status_name(edgecv_status status) {
  return status_name(static_cast<Status>(status));
}

edgecv_status edgecv_model_load(const char* path, const edgecv_load_options* options,
                                edgecv_model** model, edgecv_error* error) {
  return call(error, [&](Error* e) {
    if (path == nullptr) return null_argument("`path`", e);
    runtime::ModelSource source;
    source.path = path;
    return load(source, options, model, e);
  });
}

edgecv_status edgecv_model_load_fd(int fd, const edgecv_load_options* options, edgecv_model** model,
                                   edgecv_error* error) {
  return call(error, [&](Error* e) {
    if (fd < 0) return fail(e, Status::kInvalidArgument, "the file descriptor is %d", fd);
    runtime::ModelSource source;
    source.fd = fd;
    return load(source, options, model, e);
  });
}

edgecv_status edgecv_model_load_memory(const void* data, size_t bytes,
                                       const edgecv_load_options* options, edgecv_model** model,
                                       edgecv_error* error) {
  return call(error, [&](Error* e) {
    if (data == nullptr) return null_argument("`data`", e);
    runtime::ModelSource source;
    source.bytes = data;
    source.size = bytes;
    return load(source, options, model, e);
  });
}

edgecv_status edgecv_check_file(const void* data, size_t bytes, edgecv_error* error) {
  return call(error, [&](Error* e) {
    if (data == nullptr) return null_argument("`data`", e);
    const format::Limits limits;
    format::Source source(default_allocator());
    EDGECV_TRY(source.borrow_bytes(data, bytes, limits.file_bytes, e));
    format::ParsedModel file(default_allocator());
    return format::read_model(source.data(), source.size(), limits, &file, e);
  });
}

void edgecv_model_destroy(edgecv_model* model) {
  if (model != nullptr) unwrap(model)->release();
}

edgecv_status edgecv_model_get_info(const edgecv_model* handle, edgecv_model_info* info,
                                    edgecv_error* error) {
  return call(error, [&](Error* e) {
    if (handle == nullptr) return null_argument("`model`", e);
    const runtime::Model& model = *unwrap(handle);
    const format::ParsedModel& file = model.file();
    const runtime::Plan& plan = model.plan();
    edgecv_model_info full;
    memset(&full, 0, sizeof(full));
    full.input_count = file.input_ports;
    full.output_count = static_cast<uint32_t>(file.ports.size()) - file.input_ports;
    full.meta_count = static_cast<uint32_t>(file.meta.size());
    full.tensor_count = static_cast<uint32_t>(file.tensors.size());
    full.op_count = static_cast<uint32_t>(file.ops.size());
    full.step_count = static_cast<uint32_t>(plan.steps.size());
    full.preprocess_count = static_cast<uint32_t>(file.preprocess.size());
    full.golden_count = static_cast<uint32_t>(file.goldens.size());
    full.threads = plan.threads;
    full.keep_all = plan.layout.keep_all ? 1 : 0;
    full.isa = plan.isa.name;
    full.file_bytes = model.file_bytes();
    for (const format::TensorRecord& tensor : file.tensors) full.weight_bytes += tensor.size;
    full.packed_bytes = plan.packed.size();
    full.arena_bytes = plan.layout.arena_bytes;
    full.scratch_bytes =
        plan.scratch_bytes * static_cast<uint64_t>(plan.threads) + plan.staging_bytes;
    full.macs = plan.macs;
    full.chain_count = static_cast<uint32_t>(plan.chains.size());
    full.version_major = file.header.version_major;
    full.version_minor = file.header.version_minor;
    return give_info(info, full, e);
  });
}

edgecv_status edgecv_model_input(const edgecv_model* model, uint32_t index, edgecv_port_info* info,
                                 edgecv_error* error) {
  return call(error, [&](Error* e) { return give_port(model, true, index, info, e); });
}

edgecv_status edgecv_model_output(const edgecv_model* model, uint32_t index, edgecv_port_info* info,
                                  edgecv_error* error) {
  return call(error, [&](Error* e) { return give_port(model, false, index, info, e); });
}

const char* edgecv_model_meta(const edgecv_model* model, const char* key, size_t* bytes) {
  if (model == nullptr || key == nullptr) return nullptr;
  const format::ParsedModel& file = unwrap(model)->file();
  for (const format::MetaRecord& record : file.meta) {
    if (strcmp(file.text(record.key), key) != 0) continue;
    if (bytes != nullptr) *bytes = record.value.size;
    return file.text(record.value);
  }
  return nullptr;
}

edgecv_status edgecv_model_meta_at(const edgecv_model* model, uint32_t index, const char** key,
                                   const char** value, size_t* value_bytes, edgecv_error* error) {
  return call(error, [&](Error* e) {
    if (model == nullptr) return null_argument("`model`", e);
    const format::ParsedModel& file = unwrap(model)->file();
    if (index >= file.meta.size()) return no_such("META entry", index, file.meta.size(), e);
    const format::MetaRecord& record = file.meta[index];
    if (key != nullptr) *key = file.text(record.key);
    if (value != nullptr) *value = file.text(record.value);
    if (value_bytes != nullptr) *value_bytes = record.value.size;
    return Status::kOk;
  });
}

edgecv_status edgecv_model_verify(edgecv_model* model, edgecv_verify_report* report,
                                  edgecv_error* error) {
  return call(error, [&](Error* e) {
    if (model == nullptr) return null_argument("`model`", e);
    runtime::VerifyReport found;
    const Status status = runtime::verify_model(unwrap(model), &found, e);
    if (report == nullptr) return status;
    edgecv_verify_report full;
    memset(&full, 0, sizeof(full));
    full.goldens = found.goldens;
    full.digests = found.digests;
    full.failed = found.failed;
    full.failed_op = found.failed_op;
    full.failed_golden = found.failed_golden;
    if (found.failed != 0) {
      const runtime::Plan& plan = unwrap(model)->plan();
      const uint32_t step = plan.first_step[found.failed_op];
      full.failed_name = unwrap(model)->file().op_name(found.failed_op);
      if (step != plan.first_step[found.failed_op + 1])
        full.failed_kernel = plan.steps[step].kernel->name;
    }
    memcpy(full.text, found.text, sizeof(full.text));
    EDGECV_TRY(give_info(report, full, e));
    return status;
  });
}

}  // extern "C"
