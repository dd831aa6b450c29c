#include "kernels/cpu_features.h"

#include <cstring>
#include <string>

#include "check.h"
#include "kernels/kernel.h"
#include "kernels/registry.h"

using edgecv::Error;
using edgecv::Status;
using edgecv::kernels::detect_isa_bits;
using edgecv::kernels::isa_mask_for;

TEST(detected_bits_are_consistent) {
  const uint32_t bits = detect_isa_bits();
  char model[64];
  edgecv::kernels::describe_cpu(model, sizeof(model));
  std::printf("  %s: bits 0x%x\n", model, static_cast<unsigned>(bits));
  CHECK_EQ(bits, detect_isa_bits());
#if defined(__x86_64__)
  using namespace edgecv::kernels;
  CHECK_EQ((bits & kIsaSse41) != 0, __builtin_cpu_supports("sse4.1") != 0);
  CHECK_EQ((bits & kIsaAvx2) != 0, __builtin_cpu_supports("avx2") != 0);
  CHECK_EQ((bits & kIsaFma) != 0,
           __builtin_cpu_supports("fma") != 0 && __builtin_cpu_supports("avx2") != 0);
  if ((bits & (kIsaAvxVnni | kIsaAvx512Vnni)) != 0) CHECK((bits & kIsaAvx2) != 0);
  CHECK_EQ(bits & (kIsaNeon | kIsaNeonDotprod | kIsaNeonI8mm), 0u);
#endif
}

// A test machine that emulates a CPU states what it must find: EDGECV_TEST_EXPECT_ISA is that CPU's
// bits in hex.
TEST(detected_bits_are_the_expected_ones) {
  const char* expected = std::getenv("EDGECV_TEST_EXPECT_ISA");
  if (expected == nullptr) SKIP("EDGECV_TEST_EXPECT_ISA is not set");
  CHECK_EQ(detect_isa_bits(), static_cast<uint32_t>(std::strtoul(expected, nullptr, 16)));
}

TEST(names_are_known) {
  std::string all;
  for (size_t i = 0; edgecv::kernels::isa_name(i) != nullptr; ++i) {
    all += std::string(edgecv::kernels::isa_name(i)) + " ";
  }
  CHECK_EQ(all,
           std::string("reference sse41 avx2 avxvnni avx512vnni neon neon_dotprod neon_i8mm "));
}

TEST(forced_reference_allows_nothing_else) {
  uint32_t mask = 123;
  Error error;
  CHECK_EQ(isa_mask_for("reference", detect_isa_bits(), &mask, &error), Status::kOk);
  CHECK_EQ(mask, 0u);
  CHECK_EQ(isa_mask_for("reference", 0, &mask, &error), Status::kOk);
}

// FMA is no level of its own: the AVX2 levels use it where the CPU has it, and sse41 never does.
TEST(avx2_takes_fma_along) {
  using namespace edgecv::kernels;
  uint32_t mask = 0;
  if (isa_mask_for("avx2", ~0u, &mask, nullptr) != Status::kOk) SKIP("needs AVX2 kernels");
  CHECK_EQ(mask, kIsaSse41 | kIsaAvx2 | kIsaFma);
  CHECK_EQ(isa_mask_for("avx2", kIsaSse41 | kIsaAvx2, &mask, nullptr), Status::kOk);
  CHECK_EQ(mask, kIsaSse41 | kIsaAvx2);
  CHECK_EQ(isa_mask_for("sse41", ~0u, &mask, nullptr), Status::kOk);
  CHECK_EQ(mask, uint32_t{kIsaSse41});
  CHECK_EQ(isa_mask_for("fma", ~0u, &mask, nullptr), Status::kInvalidArgument);
}

TEST(unknown_names_are_errors) {
  for (const char* name : {"", "avx", "AVX2", "avx2 ", "avx22", "best", "auto"}) {
    WITH_CONTEXT(name);
    uint32_t mask = 123;
    Error error;
    CHECK_EQ(isa_mask_for(name, ~0u, &mask, &error), Status::kInvalidArgument);
    CHECK_EQ(mask, 123u);
    CHECK(std::strstr(error.text, "unknown instruction set") != nullptr);
  }
}

TEST(a_cpu_without_it_is_an_error) {
  uint32_t mask = 123;
  Error error;
  CHECK_EQ(isa_mask_for("avx2", edgecv::kernels::kIsaSse41, &mask, &error),
           Status::kInvalidArgument);
  CHECK_EQ(mask, 123u);
  CHECK_EQ(std::string(error.text), std::string("this CPU has no avx2"));
  CHECK_EQ(isa_mask_for("neon", 0, &mask, nullptr), Status::kInvalidArgument);
}

// No silent fallback either when the CPU could, but the build has nothing to run.
TEST(a_build_without_it_is_an_error) {
  for (size_t i = 0; edgecv::kernels::isa_name(i) != nullptr; ++i) {
    const char* name = edgecv::kernels::isa_name(i);
    WITH_CONTEXT(name);
    bool built = false;
    uint32_t needs = 0;
    for (size_t k = 0; k < edgecv::kernels::kernel_count(); ++k) {
      const edgecv::kernels::Kernel& kernel = edgecv::kernels::kernel_at(k);
      if (std::strcmp(kernel.isa, name) != 0) continue;
      built = true;
      needs |= kernel.needs;
    }
    uint32_t mask = 123;
    Error error;
    const Status status = isa_mask_for(name, ~0u, &mask, &error);
    CHECK_EQ(status, built ? Status::kOk : Status::kInvalidArgument);
    if (built) {
      CHECK_EQ(needs & ~mask, 0u);  // forcing a folder lets its kernels run
    } else {
      CHECK_EQ(std::string(error.text), std::string("this build has no ") + name + " kernels");
    }
  }
}

TEST(cpu_text_is_cut_to_its_buffer) {
  char text[64];
  edgecv::kernels::describe_cpu(text, sizeof(text));
  CHECK(std::strlen(text) > 0);
  CHECK(text[0] != ' ');
  char small[5] = {'x', 'x', 'x', 'x', 'x'};
  edgecv::kernels::describe_cpu(small, 4);
  CHECK(std::strlen(small) <= 3);
  CHECK_EQ(small[4], 'x');
  CHECK_EQ(std::strncmp(small, text, std::strlen(small)), 0);
  edgecv::kernels::describe_cpu(small, 0);
}
