#include "check.h"

namespace edgecv_test {

State& state() {
  static State instance;
  return instance;
}

bool report_failure(const char* file, int line, const std::string& what) {
  State& s = state();
  if (++s.failures <= s.max_reports) {
    std::printf("%s:%d: FAILED: %s%s\n", file, line, s.context.c_str(), what.c_str());
  } else if (s.failures == s.max_reports + 1) {
    std::printf("  (further failures of this test are only counted)\n");
  }
  return false;
}

}  // namespace edgecv_test

int main(int argc, char** argv) {
  edgecv_test::State& s = edgecv_test::state();
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  std::vector<std::string> wanted;
  if (const char* seed = std::getenv("EDGECV_TEST_SEED")) s.seed = std::strtoull(seed, nullptr, 0);
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--list") {
      for (const auto& test : s.tests) std::printf("%s\n", test.name);
      return 0;
    }
    if (argument == "--seed" && i + 1 < argc) {
      s.seed = std::strtoull(argv[++i], nullptr, 0);
    } else {
      wanted.push_back(argument);
    }
  }
  std::printf("seed %llu\n", static_cast<unsigned long long>(s.seed));
  int passed = 0;
  int failed = 0;
  int skipped = 0;
  for (const auto& test : s.tests) {
    bool run = wanted.empty();
    for (const auto& name : wanted) run = run || name == test.name;
    if (!run) continue;
    s.failures = 0;
    s.skipped = false;
    s.context.clear();
    std::printf("%s\n", test.name);
    test.run();
    if (s.failures != 0) {
      std::printf("  %s: %d checks FAILED\n", test.name, s.failures);
      ++failed;
    } else if (s.skipped) {
      ++skipped;
    } else {
      ++passed;
    }
  }
  std::printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
  if (passed + failed + skipped == 0) {
    std::printf("no test of that name\n");
    return 1;
  }
  if (failed != 0) return 1;
  return passed == 0 ? 77 : 0;
}
