// Small files of tests/data that hold golden inputs, as loaded models. "wide" has steps for several
// threads.
#ifndef EDGECV_TESTS_CPP_PROOF_GOLDEN_FILE_H_
#define EDGECV_TESTS_CPP_PROOF_GOLDEN_FILE_H_

#include <string>

#include "runtime/model.h"

namespace edgecv_test {

constexpr const char* kFiles[] = {"golden/mlp",    "golden/convnet", "golden/s8ops",
                                  "golden/f32ops", "runtime/small",  "runtime/wide",
                                  "runtime/float"};

struct GoldenFile {
  explicit GoldenFile(const std::string& name, int threads = 1, const char* isa = nullptr) {
    const std::string path = std::string(EDGECV_TEST_DATA) + "/" + name + ".ecv";
    edgecv::runtime::ModelSource source;
    source.path = path.c_str();
    edgecv::runtime::PlanOptions options;
    options.threads = threads;
    options.isa = isa;
    status = edgecv::runtime::Model::load(source, options, edgecv::format::Limits(),
                                          edgecv::default_allocator(), edgecv::runtime::LogSink(),
                                          &model, &error);
  }
  ~GoldenFile() {
    if (model != nullptr) model->release();
  }
  GoldenFile(const GoldenFile&) = delete;
  GoldenFile& operator=(const GoldenFile&) = delete;

  edgecv::runtime::Model* model = nullptr;
  edgecv::Status status;
  edgecv::Error error;
};

}  // namespace edgecv_test

#endif  // EDGECV_TESTS_CPP_PROOF_GOLDEN_FILE_H_
