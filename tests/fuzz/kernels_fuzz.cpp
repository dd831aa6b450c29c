// Differential fuzzing of the kernels: the bytes draw a family and a problem; every row that takes
// the problem has to answer like the reference row, whatever pieces the work is done in, and touch
// nothing but its operands.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "cpp/kernels/cases.h"
#include "cpp/kernels/run_kernel.h"
#include "kernels/cpu_features.h"
#include "kernels/registry.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace edgecv::kernels;
  if (size < 2) return 0;
  static const uint32_t isa = detect_isa_bits();
  const auto family = static_cast<Family>(data[0] % static_cast<uint32_t>(Family::kCount));
  edgecv_test::Draw draw(data + 1, size - 1);
  const edgecv_test::Case c = edgecv_test::draw_case(family, draw);
  if (c.operations > (1 << 22)) return 0;
  const Kernel* reference = choose_kernel(family, c.problem(), 0);
  const edgecv_test::KernelResult want = edgecv_test::run_kernel(*reference, c, 1, draw);
  for (size_t i = 0; i < kernel_count(); ++i) {
    const Kernel& kernel = kernel_at(i);
    if (kernel.family != family || (kernel.needs & ~isa) != 0) continue;
    if (kernel.supports != nullptr && !kernel.supports(c.problem())) continue;
    const edgecv_test::KernelResult got = edgecv_test::run_kernel(kernel, c, 1 + data[1] % 5, draw);
    const std::string error = edgecv_test::compare_outputs(c, got, want, &kernel == reference);
    if (error.empty()) continue;
    std::fprintf(stderr, "%s on %s: %s\n", kernel.name, c.text.c_str(), error.c_str());
    std::abort();
  }
  return 0;
}
