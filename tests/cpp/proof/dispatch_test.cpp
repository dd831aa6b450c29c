// The CPU decides which kernels run, never what comes out. Run under emulated CPUs as well, where a
// kernel that the CPU lacks would end the test by SIGILL.
#include <cstring>
#include <string>

#include "check.h"
#include "kernels/cpu_features.h"
#include "kernels/registry.h"
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
bool cpu_has(const char* isa) {
  if (std::strcmp(isa, "sse41") == 0) return __builtin_cpu_supports("sse4.1") != 0;
  return __builtin_cpu_supports("avx2") != 0;
}
#elif defined(__aarch64__) || defined(__arm__)
constexpr const char* kArmIsas[] = {"neon", "neon_dotprod", "neon_i8mm"};

// cpu_features_test holds these against what the emulated CPU is known to have.
bool cpu_has(const char* isa) {
  using namespace edgecv::kernels;
  const uint32_t bits = detect_isa_bits();
  if (std::strcmp(isa, "neon") == 0) return (bits & kIsaNeon) != 0;
  if (std::strcmp(isa, "neon_dotprod") == 0) return (bits & kIsaNeonDotprod) != 0;
  return (bits & kIsaNeonI8mm) != 0;
}
#endif

[[maybe_unused]] bool is_built(const char* isa) {
  for (size_t i = 0; i < edgecv::kernels::kernel_count(); ++i) {
    if (std::strcmp(edgecv::kernels::kernel_at(i).isa, isa) == 0) return true;
  }
  return false;
}

[[maybe_unused]] int steps_of_isa(const runtime::Plan& plan, const char* isa) {
  int count = 0;
  for (const runtime::Step& step : plan.steps) count += std::strcmp(step.kernel->isa, isa) == 0;
  return count;
}

bool is_available(const char* isa) {
  uint32_t mask;
  return edgecv::kernels::isa_mask_for(isa, edgecv::kernels::detect_isa_bits(), &mask, nullptr) ==
         Status::kOk;
}

}  // namespace

// The best folder the CPU has does most of the work, and the ones it lacks none.
TEST(kernels_only_of_what_the_cpu_has) {
#if defined(__x86_64__)
  const GoldenFile file("golden/convnet");
  REQUIRE_EQ(file.status, Status::kOk);
  const runtime::Plan& plan = file.model->plan();
  const int all = static_cast<int>(plan.steps.size());
  const int sse41 = steps_of_isa(plan, "sse41"), avx2 = steps_of_isa(plan, "avx2");
  std::printf("  isa %s, steps %d: avx2 %d, sse41 %d\n", plan.isa.name, all, avx2, sse41);
  if (cpu_has("avx2") && is_built("avx2")) {  // EDGECV_KERNELS may leave it out
    // AVX2's, or those of a level above it.
    CHECK(steps_of_isa(plan, "reference") <= 1);
    CHECK(avx2 > 0);
    CHECK_EQ(sse41, 0);
  } else {
    CHECK_EQ(avx2, 0);
    CHECK_EQ(sse41 >= all - 1, cpu_has("sse41"));
    CHECK_EQ(std::string(plan.isa.name), std::string(cpu_has("sse41") ? "sse41" : "reference"));
  }
#elif defined(__aarch64__) || defined(__arm__)
  const GoldenFile file("golden/convnet");
  REQUIRE_EQ(file.status, Status::kOk);
  const runtime::Plan& plan = file.model->plan();
  const char* best = "reference";
  int of_neon = 0;
  for (const char* isa : kArmIsas) {
    const int steps = steps_of_isa(plan, isa);
    std::printf("  %s: %d of %d steps\n", isa, steps, static_cast<int>(plan.steps.size()));
    if (!cpu_has(isa) || !is_built(isa)) {
      CHECK_EQ(steps, 0);
      continue;
    }
    best = isa;
    of_neon += steps;
  }
  // Dense layers are the best folder's, everything else NEON's.
  CHECK(steps_of_isa(plan, best) > 0);
  if (cpu_has("neon")) CHECK(steps_of_isa(plan, "neon") > 0);
  CHECK_EQ(std::string(plan.isa.name), std::string(best));
  if (cpu_has("neon")) CHECK(of_neon >= static_cast<int>(plan.steps.size()) - 1);
#else
  SKIP("has reference kernels alone");
#endif
}

TEST(a_forced_isa_holds_or_is_an_error) {
#if defined(__x86_64__)
  for (const char* isa : {"sse41", "avx2"}) {
    WITH_CONTEXT(isa);
    const GoldenFile file("golden/convnet", 1, isa);
    if (!cpu_has(isa) || !is_built(isa)) {
      CHECK_EQ(file.status, Status::kInvalidArgument);
      continue;
    }
    REQUIRE_EQ(file.status, Status::kOk);
    const runtime::Plan& plan = file.model->plan();
    CHECK_EQ(std::string(plan.isa.name), std::string(isa));
    CHECK(steps_of_isa(plan, isa) >= static_cast<int>(plan.steps.size()) - 1);
    if (std::strcmp(isa, "sse41") == 0) CHECK_EQ(steps_of_isa(plan, "avx2"), 0);
  }
#elif defined(__aarch64__) || defined(__arm__)
  for (const char* isa : kArmIsas) {
    WITH_CONTEXT(isa);
    const GoldenFile file("golden/convnet", 1, isa);
    if (!cpu_has(isa) || !is_built(isa)) {
      CHECK_EQ(file.status, Status::kInvalidArgument);
      continue;
    }
    REQUIRE_EQ(file.status, Status::kOk);
    CHECK_EQ(std::string(file.model->plan().isa.name), std::string(isa));
  }
#else
  SKIP("has reference kernels alone");
#endif
}

TEST(digests_hold_for_every_isa_and_thread_count) {
  runtime::set_thread_limit_for_tests(4);
  for (const char* name : edgecv_test::kFiles) {
    for (const char* isa : {static_cast<const char*>(nullptr), "reference", "sse41", "avx2", "neon",
                            "neon_dotprod", "neon_i8mm"}) {
      if (isa != nullptr && !is_available(isa)) continue;
      for (const int threads : {1, 2, 4}) {
        // Emulated threads wait for each other at length: one file has enough steps for several.
        const bool enough = isa == nullptr && std::strcmp(name, "runtime/wide") == 0;
        if (edgecv_test::emulated() && threads > (enough ? 2 : 1)) continue;
        WITH_CONTEXT(std::string(name) + ", isa " + (isa != nullptr ? isa : "best") + ", " +
                     std::to_string(threads) + " threads");
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
