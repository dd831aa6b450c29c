// The kernel harness notices what it exists for: each fake kernel breaks one rule of kernel.h.
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "cases.h"
#include "check.h"
#include "kernels/registry.h"
#include "run_kernel.h"

namespace {

using edgecv::kernels::ConvProblem;
using edgecv::kernels::Family;
using edgecv::kernels::Kernel;
using edgecv::kernels::Operands;
using edgecv_test::Case;
using edgecv_test::Draw;
using edgecv_test::KernelResult;

// What the fakes wrap: the reference row, and the rule that this run breaks.
enum class Fault {
  kNone,
  kWrongValue,
  kDependsOnSplit,
  kWritesGap,
  kWritesAfterOutput,
  kReadsAfterInput,
  kWritesInput,
  kWritesPacked,
  kPackOverruns,
  kReadsAfterWeights,
  kWritesAfterScratch
};
Fault g_fault = Fault::kNone;
volatile int g_sink;

const Kernel& real_kernel() {
  const ConvProblem unused = {};
  return *edgecv::kernels::choose_kernel(Family::kConvS8, &unused, 0);
}

size_t fake_packed_bytes(const void*) { return 70; }

void fake_pack(const void* problem, void* packed) {
  const auto& p = *static_cast<const ConvProblem*>(problem);
  std::memset(packed, 1, g_fault == Fault::kPackOverruns ? 71 : 70);
  if (g_fault == Fault::kReadsAfterWeights) {
    g_sink = static_cast<const int8_t*>(
        p.weights)[p.out_c * p.kernel_h * p.kernel_w * p.in_c / p.groups];
  }
}

size_t fake_scratch_bytes(const void*) { return 128; }

int64_t fake_items(const void* problem) { return real_kernel().work_items(problem); }

int fake_run(const void* problem, const Operands& operands, int64_t begin, int64_t end,
             void* scratch) {
  const auto& p = *static_cast<const ConvProblem*>(problem);
  const int64_t in_pixels = int64_t{p.batch} * p.in_h * p.in_w;
  const int64_t out_pixels = int64_t{p.batch} * p.out_h * p.out_w;
  auto* in = static_cast<int8_t*>(const_cast<void*>(operands.in[0]));
  auto* out = static_cast<int8_t*>(operands.out);
  const int status = real_kernel().run(problem, operands, begin, end, scratch);
  switch (g_fault) {
    case Fault::kWrongValue:
      out[0] = static_cast<int8_t>(out[0] ^ 1);
      break;
    case Fault::kDependsOnSplit:
      if (begin == 0 && end != out_pixels) out[0] = static_cast<int8_t>(out[0] ^ 1);
      break;
    case Fault::kWritesGap:
      out[p.out_c] = static_cast<int8_t>(out[p.out_c] ^ 1);
      break;
    case Fault::kWritesAfterOutput:
      out[(out_pixels - 1) * p.out_stride + p.out_c] = 1;
      break;
    case Fault::kReadsAfterInput:
      g_sink = in[(in_pixels - 1) * p.in_stride + p.in_c];
      break;
    case Fault::kWritesInput:
      in[0] = 1;
      break;
    case Fault::kWritesPacked:
      static_cast<int8_t*>(const_cast<void*>(operands.packed))[0] = 1;
      break;
    case Fault::kWritesAfterScratch:
      static_cast<int8_t*>(scratch)[128] = 1;
      break;
    default:
      break;
  }
  return status;
}

const Kernel kFake = {"fake__test",      "test",    Family::kConvS8,    0,          nullptr,
                      fake_packed_bytes, fake_pack, fake_scratch_bytes, fake_items, fake_run};

Case gapped_case() {
  edgecv_test::ConvShape shape;
  shape.in_h = 3;
  shape.in_w = 5;
  shape.in_c = 7;
  shape.out_c = 9;
  shape.in_gap = 2;
  shape.out_gap = 3;
  Draw draw(7);
  return make_conv_case(Family::kConvS8, shape, draw, edgecv_test::WeightPattern::kRandom,
                        edgecv_test::Pattern::kRandom);
}

std::string outcome(Fault fault, int64_t pieces) {
  const Case c = gapped_case();
  Draw draw(3);  // places every buffer against its upper guard page
  const KernelResult want = run_kernel(real_kernel(), c, 1, draw);
  g_fault = fault;
  const KernelResult got = run_kernel(kFake, c, pieces, draw);
  g_fault = Fault::kNone;
  return compare_outputs(c, got, want, true);
}

bool starts_with(const std::string& text, const std::string& start) {
  return text.compare(0, start.size(), start) == 0;
}

// Whether a run in a child process ends without being stopped.
bool survives(Fault fault) {
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    std::freopen("/dev/null", "w", stderr);  // a sanitizer's report
    // Placement is drawn: one of the runs puts the buffers against their upper guard page.
    const Case c = gapped_case();
    g_fault = fault;
    for (uint64_t seed = 0; seed < 8; ++seed) {
      Draw draw(seed);
      run_kernel(kFake, c, 1, draw);
    }
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

TEST(a_faultless_kernel_passes) {
  CHECK_EQ(outcome(Fault::kNone, 1), std::string());
  CHECK_EQ(outcome(Fault::kNone, 4), std::string());
  CHECK(survives(Fault::kNone));
}

TEST(wrong_values_are_found) {
  CHECK(starts_with(outcome(Fault::kWrongValue, 1), "got "));
  CHECK_EQ(outcome(Fault::kDependsOnSplit, 1), std::string());
  CHECK(starts_with(outcome(Fault::kDependsOnSplit, 2), "got "));
}

TEST(writes_between_pixels_are_found) {
  CHECK(starts_with(outcome(Fault::kWritesGap, 1), "wrote into a gap"));
}

TEST(packing_too_much_is_found) {
  CHECK_EQ(outcome(Fault::kPackOverruns, 1), std::string("pack() wrote beyond packed_bytes()"));
}

TEST(accesses_beyond_the_operands_stop_the_process) {
  CHECK(!survives(Fault::kWritesAfterOutput));
  CHECK(!survives(Fault::kReadsAfterInput));
  CHECK(!survives(Fault::kWritesInput));
  CHECK(!survives(Fault::kWritesPacked));
  CHECK(!survives(Fault::kReadsAfterWeights));
  CHECK(!survives(Fault::kWritesAfterScratch));
}

// f32 rows may differ by 1e-4 of the largest magnitude, and by no more; the reference by nothing.
TEST(f32_tolerance_is_1e_4_of_the_largest) {
  Case c;
  c.set_dense_output<float>(3);
  const auto result = [](float a, float b, float d) {
    const float values[] = {a, b, d};
    KernelResult r;
    r.out.resize(sizeof(values));
    std::memcpy(r.out.data(), values, sizeof(values));
    return r;
  };
  const KernelResult want = result(-10.0f, 0.0f, 1.0f);
  CHECK_EQ(compare_outputs(c, result(-10.0f, 0.0009f, 1.0f), want, false), std::string());
  CHECK(!compare_outputs(c, result(-10.0f, 0.0011f, 1.0f), want, false).empty());
  CHECK(!compare_outputs(c, result(-10.0f, 0.0009f, 1.0f), want, true).empty());
  CHECK(!compare_outputs(c, result(-10.0f, std::nanf(""), 1.0f), want, false).empty());
}
