// The test framework of the C++ tests: one header, no dependencies.
//
//   #include "check.h"
//   TEST(adds_up) { CHECK_EQ(1 + 1, 2); }
//
// tests/cpp/main.cpp supplies main(). `<test> --list` prints the names, `<test> NAME...` runs some
// of them, `--seed N` (or EDGECV_TEST_SEED) sets the seed, which every run prints. Exit code: 0
// good, 1 a check failed, 77 every test was skipped (ctest shows it as skipped).
#ifndef EDGECV_TESTS_CPP_CHECK_H_
#define EDGECV_TESTS_CPP_CHECK_H_

#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

namespace edgecv_test {

struct TestCase {
  const char* name;
  void (*run)();
};

// Shared state of one test executable.
struct State {
  std::vector<TestCase> tests;
  uint64_t seed = 1;
  int failures = 0;      // of the running test
  bool skipped = false;  // the running test
  std::string context;   // printed with each failure, see WITH_CONTEXT
  int max_reports = 20;  // per test: a broken kernel fails thousands of checks
};

State& state();

// The share of its cases a long test should run: EDGECV_TEST_FACTOR, 1 when unset; 0.1 under an
// emulator.
inline double factor() {
  const char* text = std::getenv("EDGECV_TEST_FACTOR");
  return text == nullptr ? 1.0 : std::atof(text);
}
// How many of a generated test's `full` cases to run: at least one.
inline int scaled(int full) {
  const double cases = full * factor();
  return cases < 1.0 ? 1 : static_cast<int>(cases);
}
// The step through an exhaustive test: 1 when it is to be exhaustive. Odd, so that it meets every
// bit of a byte.
inline size_t stride() {
  const double step = 1.0 / factor();
  return step < 2.0 ? 1 : static_cast<size_t>(step) | 1u;
}
// Whether an emulator runs this executable (ctest says so by EDGECV_TEST_EMULATED).
inline bool emulated() { return std::getenv("EDGECV_TEST_EMULATED") != nullptr; }

struct Registrar {
  Registrar(const char* name, void (*run)()) { state().tests.push_back({name, run}); }
};

// Counts one failure and prints it; returns false so that it can end an expression.
bool report_failure(const char* file, int line, const std::string& what);

template <typename T>
std::string to_text(const T& value) {
  std::ostringstream out;
  out.precision(9);
  if constexpr (std::is_enum_v<T>) {
    out << static_cast<long long>(value);
  } else if constexpr (std::is_same_v<T, int8_t> || std::is_same_v<T, uint8_t>) {
    out << static_cast<int>(value);
  } else if constexpr (std::is_same_v<T, std::nullptr_t>) {
    out << "nullptr";
  } else {
    out << value;
  }
  return out.str();
}

template <typename A, typename B>
bool check_equal(const A& got, const B& want, const char* got_text, const char* want_text,
                 const char* file, int line) {
  bool equal;
  if constexpr (std::is_integral_v<A> && std::is_integral_v<B> && !std::is_same_v<A, bool> &&
                !std::is_same_v<B, bool>) {
    // Compare values, not bit patterns: -1 is not 0xFFFFFFFFu.
    equal = (got < A{}) == (want < B{}) &&
            static_cast<unsigned long long>(got) == static_cast<unsigned long long>(want);
  } else {
    equal = got == want;
  }
  if (equal) return true;
  return report_failure(file, line,
                        std::string(got_text) + " == " + want_text + ": got " + to_text(got) +
                            ", want " + to_text(want));
}

// Equal contents of two arrays; reports the first difference and how many there are.
template <typename T>
bool check_arrays(const T* got, const T* want, size_t count, const char* text, const char* file,
                  int line) {
  size_t differences = 0;
  size_t first = 0;
  for (size_t i = 0; i < count; ++i) {
    if (std::memcmp(&got[i], &want[i], sizeof(T)) != 0 && differences++ == 0) first = i;
  }
  if (differences == 0) return true;
  return report_failure(file, line,
                        std::string(text) + ": " + to_text(differences) + " of " + to_text(count) +
                            " differ, first at " + to_text(first) + ": got " + to_text(got[first]) +
                            ", want " + to_text(want[first]));
}

// Small deterministic generator (splitmix64): the same numbers from the same seed on every
// platform.
class Random {
 public:
  explicit Random(uint64_t seed = state().seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  // Uniform in [lo, hi], both included.
  int64_t integer(int64_t lo, int64_t hi) {
    return lo + static_cast<int64_t>(next() % (static_cast<uint64_t>(hi - lo) + 1u));
  }
  // Uniform in [lo, hi).
  float real(float lo, float hi) {
    return lo + (hi - lo) * (static_cast<float>(next() >> 40) * 0x1p-24f);
  }

 private:
  uint64_t state_;
};

// Memory between two unmapped pages. kEnd: the last byte of the buffer is the last mapped byte, so
// one byte read or written beyond it stops the test; kBegin: the same in front of the first byte.
enum class Guard { kEnd, kBegin };

template <typename T>
class GuardedBuffer {
 public:
  explicit GuardedBuffer(size_t count, Guard guard = Guard::kEnd) : count_(count) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t bytes = count * sizeof(T);
    const size_t inner = (bytes + page - 1) / page * page;
    mapped_ = inner + 2 * page;
    base_ = static_cast<uint8_t*>(
        mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (base_ == MAP_FAILED) std::abort();
    if (inner != 0 && mprotect(base_ + page, inner, PROT_READ | PROT_WRITE) != 0) std::abort();
    data_ = reinterpret_cast<T*>(base_ + page + (guard == Guard::kEnd ? inner - bytes : 0));
  }
  ~GuardedBuffer() { munmap(base_, mapped_); }
  GuardedBuffer(const GuardedBuffer&) = delete;
  GuardedBuffer& operator=(const GuardedBuffer&) = delete;

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return count_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T* begin() { return data_; }
  T* end() { return data_ + count_; }

 private:
  uint8_t* base_ = nullptr;
  T* data_ = nullptr;
  size_t count_ = 0;
  size_t mapped_ = 0;
};

// Prepends a text to the failures reported while it lives.
class Context {
 public:
  explicit Context(const std::string& text) : saved_(state().context) {
    state().context += text + ": ";
  }
  ~Context() { state().context = saved_; }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

 private:
  std::string saved_;
};

}  // namespace edgecv_test

#define EDGECV_TEST_JOIN_(a, b) a##b
#define EDGECV_TEST_JOIN(a, b) EDGECV_TEST_JOIN_(a, b)

// Defines and registers a test.
#define TEST(name)                                                            \
  static void test_##name();                                                  \
  static const ::edgecv_test::Registrar registrar_##name(#name, test_##name); \
  static void test_##name()

// Each is an expression: true when the check holds.
#define CHECK(condition) \
  ((condition) ? true : ::edgecv_test::report_failure(__FILE__, __LINE__, #condition))
#define CHECK_EQ(got, want) \
  ::edgecv_test::check_equal((got), (want), #got, #want, __FILE__, __LINE__)
#define CHECK_ARRAYS(got, want, count) \
  ::edgecv_test::check_arrays((got), (want), (count), #got " == " #want, __FILE__, __LINE__)
// |got - want| <= tolerance; a NaN fails.
#define CHECK_NEAR(got, want, tolerance)                                                           \
  ((std::fabs((got) - (want)) <= (tolerance))                                                      \
       ? true                                                                                      \
       : ::edgecv_test::report_failure(                                                            \
             __FILE__, __LINE__,                                                                   \
             std::string(#got " near " #want ": got ") + ::edgecv_test::to_text(got) + ", want " + \
                 ::edgecv_test::to_text(want) + " within " + ::edgecv_test::to_text(tolerance)))
// As CHECK, but ends the test function when it fails.
#define REQUIRE(condition)         \
  do {                             \
    if (!CHECK(condition)) return; \
  } while (0)
#define REQUIRE_EQ(got, want)         \
  do {                                \
    if (!CHECK_EQ(got, want)) return; \
  } while (0)
// Ends the test as skipped, aloud: for what this machine does not have (an instruction set, a
// device).
#define SKIP(reason)                                             \
  do {                                                           \
    std::printf("  skipped: %s\n", std::string(reason).c_str()); \
    ::edgecv_test::state().skipped = true;                       \
    return;                                                      \
  } while (0)
#define WITH_CONTEXT(text) ::edgecv_test::Context EDGECV_TEST_JOIN(context_, __LINE__)(text)

#endif  // EDGECV_TESTS_CPP_CHECK_H_
