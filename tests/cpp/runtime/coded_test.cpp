// Coded constants: decoded when a file is read, freed once they are packed, and readable all the
// same.
#include <cstring>
#include <string>

#include "check.h"
#include "fixtures.h"
#include "format/reader.h"
#include "runtime/verify.h"

using namespace edgecv;
using edgecv_test::OpenSession;

namespace {

struct Coded {
  explicit Coded(const char* isa) : bytes(edgecv_test::read_bytes(path())) {
    runtime::ModelSource source;
    source.path = path().c_str();
    runtime::PlanOptions options;
    options.threads = 1;
    options.isa = isa;
    Error error;
    REQUIRE_EQ(runtime::Model::load(source, options, format::Limits(), allocator.get(),
                                    runtime::LogSink(), &model, &error),
               Status::kOk);
  }
  ~Coded() { model->release(); }
  static const std::string& path() {
    static const std::string name = edgecv_test::model_path("../golden/coded");
    return name;
  }
  std::vector<uint8_t> bytes;
  edgecv_test::CountingAllocator allocator;
  runtime::Model* model = nullptr;
};

}  // namespace

TEST(packed_constants_are_freed_and_still_readable) {
  Coded coded(nullptr);
  const format::ParsedModel& file = coded.model->file();
  OpenSession session(coded.model);
  int count = 0;
  for (uint32_t op = 0; op < file.ops.size(); ++op) {
    const format::TensorRecord* weights = file.input(file.ops[op], 1);
    if (weights == nullptr || weights->encoding != 1) continue;
    const uint32_t id = file.input_id(file.ops[op], 1);
    const runtime::Plan& plan = coded.model->plan();
    const bool packed = plan.steps[plan.first_step[op]].packed_bytes != 0;
    CHECK_EQ(file.constants[id] == nullptr, packed);
    CHECK_EQ(file.decoded[id] == nullptr, packed);
    format::ParsedModel again(default_allocator());
    Error error;
    REQUIRE_EQ(coded.model->read_again(&again, &error), Status::kOk);
    std::vector<uint8_t> values(static_cast<size_t>(format::tensor_bytes(*weights)));
    REQUIRE_EQ(session->read_tensor(id, values.data(), values.size(),
                                    static_cast<format::Dtype>(weights->dtype), &error),
               Status::kOk);
    CHECK(std::memcmp(values.data(), again.constants[id], values.size()) == 0);
    ++count;
  }
  CHECK_EQ(count, 9);
  runtime::VerifyReport report;
  Error error;
  CHECK_EQ(runtime::verify_model(coded.model, &report, &error), Status::kOk);
  CHECK(report.digests > 0);
}

TEST(what_run_reads_is_kept) {
  Coded coded("reference");
  const format::ParsedModel& file = coded.model->file();
  int count = 0;
  for (uint32_t op = 0; op < file.ops.size(); ++op) {
    const uint32_t id = file.input_id(file.ops[op], 1);
    const runtime::Plan& plan = coded.model->plan();
    if (id == format::kAbsent || plan.steps[plan.first_step[op]].packed_bytes != 0) continue;
    CHECK(file.constants[id] != nullptr);
    ++count;
  }
  CHECK(count > 0);
  runtime::VerifyReport report;
  Error error;
  CHECK_EQ(runtime::verify_model(coded.model, &report, &error), Status::kOk);
}

TEST(every_failing_allocation_is_out_of_memory) {
  int64_t total = 0;
  for (int64_t k = -1; k < (total == 0 ? 1 : total); ++k) {
    WITH_CONTEXT("allocation " + std::to_string(k));
    edgecv_test::CountingAllocator counter;
    counter.fail_at = k;
    {
      edgecv_test::LoadedModel loaded("../golden/coded", 1, nullptr, false, counter.get());
      Status status = loaded.status;
      runtime::VerifyReport report;
      Error error;
      if (status == Status::kOk) status = runtime::verify_model(loaded.model, &report, &error);
      CHECK_EQ(status, k < 0 ? Status::kOk : Status::kOutOfMemory);
    }
    CHECK_EQ(counter.alive.load(), int64_t{0});
    if (k < 0) total = counter.calls;
  }
  CHECK(total > 20);
}

TEST(decoded_bytes_have_a_limit) {
  Coded coded(nullptr);
  format::Limits limits;
  limits.decoded_bytes = 1000;
  format::ParsedModel parsed(default_allocator());
  edgecv_test::GuardedBuffer<uint8_t> memory(coded.bytes.size());
  std::memcpy(memory.data(), coded.bytes.data(), coded.bytes.size());
  Error error;
  CHECK_EQ(format::read_model(memory.data(), coded.bytes.size(), limits, &parsed, &error),
           Status::kLimit);
}
