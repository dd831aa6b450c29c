// Verification names the op and the kernel when one kernel computes one bit wrongly: every step of
// every golden file gets such a kernel in turn.
#include <cstring>

#include "check.h"
#include "proof/golden_file.h"
#include "runtime/verify.h"

using edgecv::Status;
using edgecv::kernels::Kernel;
using edgecv::kernels::Operands;
using edgecv_test::GoldenFile;
namespace format = edgecv::format;
namespace runtime = edgecv::runtime;

namespace {

// A kernel's run takes no context of its own, so that the faulty one finds these here.
const Kernel* original;
int flipped_byte;
uint8_t flipped_bit;

int faulty_run(const void* problem, const Operands& operands, int64_t begin, int64_t end,
               void* scratch) {
  const int result = original->run(problem, operands, begin, end, scratch);
  if (begin == 0) static_cast<uint8_t*>(operands.out)[flipped_byte] ^= flipped_bit;
  return result;
}

// The plan of a loaded model is const to everyone else; the model itself is no const object.
runtime::Step& step_of(const GoldenFile& file, size_t index) {
  return const_cast<runtime::Step&>(file.model->plan().steps[index]);
}

// The lowest bit of the first s8 or s32 element. Outputs of f32 ops are compared with a tolerance:
// of their first element, the highest bit of the exponent.
void choose_bit(const format::ParsedModel& file, uint32_t op) {
  const format::TensorRecord& y = file.tensors[file.ops[op].output];
  const bool f32 = y.dtype == static_cast<uint8_t>(format::Dtype::kF32);
  flipped_byte = f32 ? 3 : 0;
  flipped_bit = f32 ? 0x40 : 0x01;
}

}  // namespace

TEST(untouched_plans_pass) {
  for (const char* name : edgecv_test::kFiles) {
    for (const char* isa : {static_cast<const char*>(nullptr), "reference"}) {
      WITH_CONTEXT(name);
      const GoldenFile file(name, 1, isa);
      REQUIRE_EQ(file.status, Status::kOk);
      runtime::VerifyReport report;
      edgecv::Error error;
      CHECK_EQ(runtime::verify_model(file.model, &report, &error), Status::kOk);
      CHECK_EQ(report.failed, 0u);
      CHECK(report.digests >= file.model->plan().steps.size());
    }
  }
}

TEST(a_flipped_bit_names_op_and_kernel) {
  size_t broken = 0;
  for (const char* name : edgecv_test::kFiles) {
    const GoldenFile file(name);
    REQUIRE_EQ(file.status, Status::kOk);
    for (size_t i = 0; i < file.model->plan().steps.size(); ++i) {
      runtime::Step& step = step_of(file, i);
      const uint32_t op = step.op;
      const std::string op_name = file.model->file().op_name(op);
      WITH_CONTEXT(std::string(name) + ", " + op_name + ", " + step.kernel->name);
      original = step.kernel;
      choose_bit(file.model->file(), op);
      const std::string faulty_name = std::string("faulty_") + original->name;
      Kernel faulty = *original;
      faulty.run = faulty_run;
      faulty.name = faulty_name.c_str();
      step.kernel = &faulty;
      runtime::VerifyReport report;
      edgecv::Error error;
      CHECK_EQ(runtime::verify_model(file.model, &report, &error), Status::kVerifyFailed);
      step.kernel = original;
      ++broken;
      CHECK(report.failed > 0);
      CHECK_EQ(report.failed_op, op);
      CHECK(std::strstr(report.text, ("'" + op_name + "'").c_str()) != nullptr);
      // An op of several steps is named with the kernel of its first.
      const runtime::Plan& plan = file.model->plan();
      const bool first = plan.first_step[op] == i;
      const std::string kernel = first ? faulty_name : plan.steps[plan.first_step[op]].kernel->name;
      CHECK(std::strstr(report.text, ("kernel " + kernel).c_str()) != nullptr);
      CHECK(std::strstr(error.text, report.text) != nullptr);
    }
    // With its own kernels back, the same plan passes.
    runtime::VerifyReport report;
    edgecv::Error error;
    CHECK_EQ(runtime::verify_model(file.model, &report, &error), Status::kOk);
  }
  CHECK(broken >= 40);  // the golden files together use every op
}
