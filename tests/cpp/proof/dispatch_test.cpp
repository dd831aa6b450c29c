// The CPU decides which kernels run, never what comes out. Run under emulated CPUs as well, where a
// kernel that the CPU lacks would end the test by SIGILL.
#include <cstring>

#include "check.h"
#include "proof/golden_file.h"
#include "runtime/thread_pool.h"
#include "runtime/verify.h"

using edgecv::Status;
using edgecv_test::GoldenFile;
namespace format = edgecv::format;
namespace runtime = edgecv::runtime;

namespace {

#if defined(__x86_64__)
// The compiler's own look at the CPU, not the core's.
bool cpu_has_avx2() { return __builtin_cpu_supports("avx2") != 0; }
#endif

int steps_of_isa(const runtime::Plan& plan, const char* isa) {
  int count = 0;
  for (const runtime::Step& step : plan.steps) count += std::strcmp(step.kernel->isa, isa) == 0;
  return count;
}

}  // namespace

TEST(avx2_kernels_only_where_the_cpu_has_avx2) {
#if defined(__x86_64__)
  const GoldenFile file("golden/convnet");
  REQUIRE_EQ(file.status, Status::kOk);
  const runtime::Plan& plan = file.model->plan();
  const int avx2 = steps_of_isa(plan, "avx2");
  std::printf("  isa %s, avx2 steps %d of %zu\n", plan.isa.name, avx2, plan.steps.size());
  if (cpu_has_avx2()) {
    CHECK(avx2 > 0);
  } else {
    CHECK_EQ(avx2, 0);
    const GoldenFile forced("golden/convnet", 1, "avx2");
    CHECK_EQ(forced.status, Status::kInvalidArgument);
  }
#else
  SKIP("needs an x86-64 CPU");
#endif
}

TEST(digests_hold_for_every_isa_and_thread_count) {
  runtime::set_thread_limit_for_tests(4);
  for (const char* name : edgecv_test::kFiles) {
    for (const char* isa : {static_cast<const char*>(nullptr), "reference"}) {
      for (const int threads : {1, 2, 4}) {
        WITH_CONTEXT(std::string(name) + ", " + std::to_string(threads) + " threads");
        const GoldenFile file(name, threads, isa);
        REQUIRE_EQ(file.status, Status::kOk);
        runtime::VerifyReport report;
        edgecv::Error error;
        if (!CHECK_EQ(runtime::verify_model(file.model, &report, &error), Status::kOk))
          std::printf("  %s\n", report.text);
        CHECK(report.digests > 0);
      }
    }
  }
  runtime::set_thread_limit_for_tests(0);
}
