#include "runtime/fixtures.h"

#include <cstdio>

#include "format/generator.h"

namespace edgecv_test {

using edgecv::Status;
namespace format = edgecv::format;
namespace runtime = edgecv::runtime;

std::string model_path(const std::string& name) {
  return std::string(EDGECV_TEST_DATA) + "/runtime/" + name + ".ecv";
}

std::vector<uint8_t> read_bytes(const std::string& path) {
  std::vector<uint8_t> bytes;
  if (std::FILE* file = std::fopen(path.c_str(), "rb")) {
    uint8_t buffer[4096];
    size_t n;
    while ((n = std::fread(buffer, 1, sizeof(buffer), file)) != 0)
      bytes.insert(bytes.end(), buffer, buffer + n);
    std::fclose(file);
  }
  return bytes;
}

CountingAllocator::CountingAllocator() : allocator_{this, allocate, release} {}

void* CountingAllocator::allocate(void* context, size_t bytes, size_t alignment) {
  auto* self = static_cast<CountingAllocator*>(context);
  if (self->calls++ == self->fail_at) return nullptr;
  const edgecv::Allocator& libc = edgecv::default_allocator();
  void* pointer = libc.allocate(libc.context, bytes, alignment);
  if (pointer != nullptr) ++self->alive;
  return pointer;
}

void CountingAllocator::release(void* context, void* pointer) {
  if (pointer == nullptr) return;
  --static_cast<CountingAllocator*>(context)->alive;
  const edgecv::Allocator& libc = edgecv::default_allocator();
  libc.release(libc.context, pointer);
}

LoadedModel::LoadedModel(const std::string& name, int threads, const char* isa, bool keep_all,
                         const edgecv::Allocator& allocator, runtime::ChainMode chains) {
  const std::string path = model_path(name);
  runtime::ModelSource source;
  source.path = path.c_str();
  runtime::PlanOptions options;
  options.threads = threads;
  options.isa = isa;
  options.keep_all = keep_all;
  options.chains = chains;
  status = runtime::Model::load(source, options, format::Limits(), allocator, runtime::LogSink(),
                                &model, &error);
}

LoadedModel::~LoadedModel() {
  if (model != nullptr) model->release();
}

OpenSession::OpenSession(runtime::Model* model) {
  (void)runtime::Session::create(model, &session, nullptr);
}

OpenSession::~OpenSession() {
  if (session != nullptr) session->destroy();
}

std::vector<uint8_t> run_seed(runtime::Session* session, uint64_t seed) {
  const format::ParsedModel& file = session->model().file();
  for (uint32_t i = 0; i < file.input_ports; ++i) {
    void* data = nullptr;
    size_t bytes = 0;
    if (session->map_input(i, &data, &bytes, nullptr) != Status::kOk) return {};
    const format::TensorRecord& tensor = file.tensors[file.ports[i].tensor];
    format::generate(seed + i, static_cast<format::Dtype>(tensor.dtype),
                     format::element_count(tensor), data);
  }
  if (session->run(nullptr) != Status::kOk) return {};
  std::vector<uint8_t> result;
  for (uint32_t i = 0; i + file.input_ports < file.ports.size(); ++i) {
    const void* data = nullptr;
    size_t bytes = 0;
    if (session->map_output(i, &data, &bytes, nullptr) != Status::kOk) return {};
    result.insert(result.end(), static_cast<const uint8_t*>(data),
                  static_cast<const uint8_t*>(data) + bytes);
  }
  return result;
}

}  // namespace edgecv_test
