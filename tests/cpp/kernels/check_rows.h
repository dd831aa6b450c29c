// Feeds cases to every row of one family and compares with the reference row: the body of the
// kernel tests.
#ifndef EDGECV_TESTS_CPP_KERNELS_CHECK_ROWS_H_
#define EDGECV_TESTS_CPP_KERNELS_CHECK_ROWS_H_

#include <cstdlib>
#include <string>
#include <vector>

#include "check.h"
#include "kernels/cpu_features.h"
#include "kernels/registry.h"
#include "run_kernel.h"

namespace edgecv_test {

// The number of random cases a test draws: `count`, multiplied by EDGECV_TEST_FACTOR when set.
inline int scaled_count(int count) {
  const char* factor = std::getenv("EDGECV_TEST_FACTOR");
  return factor != nullptr ? static_cast<int>(count * std::atof(factor)) : count;
}

class RowChecker {
 public:
  explicit RowChecker(edgecv::kernels::Family family) {
    const uint32_t isa = edgecv::kernels::detect_isa_bits();
    for (size_t i = 0; i < edgecv::kernels::kernel_count(); ++i) {
      const edgecv::kernels::Kernel& kernel = edgecv::kernels::kernel_at(i);
      if (kernel.family != family) continue;
      rows_.push_back({&kernel, (kernel.needs & ~isa) == 0, 0, 0});
    }
  }

  // How far apart the cases of a long list may lie. An emulator has nothing to find where it runs
  // no row but the reference, the same C++ on every CPU: one case in 16 shows that it runs at all.
  size_t step() const {
    size_t others = 0;
    for (const Row& row : rows_) others += row.runnable;
    return emulated() && others == 1 ? 16 : 1;
  }

  // Every row that takes the case equals the reference, however the work is split. The reference
  // itself runs in pieces as well.
  void check(const Case& c, Draw& draw, bool threaded = false) {
    const edgecv::kernels::Kernel& reference = *rows_.back().kernel;
    const KernelResult want = run_kernel(reference, c, 1, draw);
    ++cases_;
    for (Row& row : rows_) {
      if (!row.runnable) continue;
      if (row.kernel->supports != nullptr && !row.kernel->supports(c.problem())) {
        ++row.refused;
        continue;
      }
      ++row.ran;
      const bool split = threaded || draw.next() % 2 == 0;
      const int64_t pieces = split ? 2 + static_cast<int64_t>(draw.next() % 6) : 1;
      const KernelResult got = run_kernel(*row.kernel, c, pieces, draw, threaded);
      const std::string error = compare_outputs(c, got, want, &row == &rows_.back());
      if (!error.empty()) {
        report_failure(__FILE__, __LINE__,
                       std::string(row.kernel->name) + " on " + c.text + " in " +
                           std::to_string(pieces) + " pieces: " + error);
      }
    }
  }

  // Prints what every row did. With `all_rows`, a row that runs here but took no case was not
  // tested: a failure.
  void finish(bool all_rows = true) const {
    for (const Row& row : rows_) {
      if (!row.runnable) {
        std::printf("  %-40s SKIPPED: this CPU lacks what it needs\n", row.kernel->name);
        continue;
      }
      std::printf("  %-40s %lld cases, refused %lld\n", row.kernel->name,
                  static_cast<long long>(row.ran), static_cast<long long>(row.refused));
      if (all_rows) CHECK(row.ran > 0);
    }
    CHECK(cases_ > 0);
  }

 private:
  struct Row {
    const edgecv::kernels::Kernel* kernel;
    bool runnable;
    int64_t ran, refused;
  };
  std::vector<Row> rows_;
  int64_t cases_ = 0;
};

}  // namespace edgecv_test

#endif  // EDGECV_TESTS_CPP_KERNELS_CHECK_ROWS_H_
