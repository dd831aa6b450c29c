// One kernel problem with its data, and the source of numbers that problems are drawn from. No
// dependency on the test framework: tests, fuzz targets and benchmarks share these headers.
#ifndef EDGECV_TESTS_CPP_KERNELS_CASE_H_
#define EDGECV_TESTS_CPP_KERNELS_CASE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "guarded_bytes.h"
#include "kernels/kernel.h"

namespace edgecv_test {

// Numbers: first the given bytes (a fuzzer's input), then an endless pseudo-random sequence
// (splitmix64).
class Draw {
 public:
  explicit Draw(uint64_t seed) : state_(seed) {}
  Draw(const uint8_t* bytes, size_t size) : bytes_(bytes), size_(size) {}

  uint64_t next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  // Uniform in [lo, hi], both included.
  int64_t integer(int64_t lo, int64_t hi) {
    const uint64_t range = static_cast<uint64_t>(hi - lo) + 1u;
    uint64_t value = 0;
    if (size_ == 0) {
      value = next();
    } else {
      for (uint64_t reach = range - 1; reach != 0 && size_ != 0; reach >>= 8) {
        value = value << 8 | *bytes_++;
        --size_;
      }
      state_ = state_ * 31 + value;
    }
    return lo + static_cast<int64_t>(value % range);
  }
  int32_t int32(int32_t lo, int32_t hi) { return static_cast<int32_t>(integer(lo, hi)); }
  bool one_in(int32_t n) { return integer(1, n) == 1; }
  template <typename T>
  T pick(std::initializer_list<T> values) {
    return values.begin()[integer(0, static_cast<int64_t>(values.size()) - 1)];
  }
  // Uniform in [lo, hi).
  float real(float lo, float hi) {
    return lo + (hi - lo) * (static_cast<float>(next() >> 40) * 0x1p-24f);
  }

 private:
  uint64_t state_ = 1;
  const uint8_t* bytes_ = nullptr;
  size_t size_ = 0;
};

// A problem, the constants it points to, and the contents of its activation inputs.
struct Case {
  edgecv::kernels::Family family;
  std::string text;  // for failure messages and benchmark lines
  std::shared_ptr<void> problem_storage;
  std::vector<GuardedBytes> constants;
  std::vector<std::vector<uint8_t>> inputs;
  size_t out_bytes = 0;  // from the first to the last output element
  size_t out_run = 0;    // [k * out_step, k * out_step + out_run) are output, the rest is not
  size_t out_step = 0;
  size_t out_element = 1;  // bytes
  bool out_is_float = false;
  int64_t operations = 0;  // multiply-accumulates, or output elements

  const void* problem() const { return problem_storage.get(); }
  template <typename Problem>
  const Problem& as() const {
    return *static_cast<const Problem*>(problem_storage.get());
  }
  template <typename Problem>
  Problem& make_problem() {
    auto owned = std::make_shared<Problem>();
    std::memset(owned.get(), 0, sizeof(Problem));
    problem_storage = owned;
    return *owned;
  }
  // Constants end at an unmapped page and are read-only: pack() and run() may read nothing beyond
  // them.
  template <typename T>
  const T* add_constant(const std::vector<T>& values) {
    constants.emplace_back(values.size() * sizeof(T));
    if (!values.empty()) {
      std::memcpy(constants.back().data(), values.data(), values.size() * sizeof(T));
    }
    constants.back().make_read_only();
    return constants.back().template as<T>();
  }
  template <typename T>
  void add_input(const std::vector<T>& values) {
    std::vector<uint8_t> bytes(values.size() * sizeof(T));
    if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
    inputs.push_back(std::move(bytes));
  }
  template <typename T>
  void set_output(int64_t count, int64_t run, int64_t step) {
    out_element = sizeof(T);
    out_is_float = std::is_same<T, float>::value;
    out_run = static_cast<size_t>(run) * sizeof(T);
    out_step = static_cast<size_t>(step) * sizeof(T);
    out_bytes = count == 0 ? 0 : (static_cast<size_t>(count) - 1) * out_step + out_run;
  }
  template <typename T>
  void set_dense_output(int64_t count) {
    set_output<T>(1, count, count);
  }
  template <typename T>
  const T* input(size_t index) const {
    return reinterpret_cast<const T*>(inputs[index].data());
  }
};

// Activation data that finds saturation, sign and tail mistakes.
enum class Pattern { kRandom, kLowest, kHighest, kAlternating, kZeroPoint, kNarrow, kCount };

inline const char* pattern_name(Pattern pattern) {
  static const char* const kNames[] = {"random",      "lowest",     "highest",
                                       "alternating", "zero_point", "narrow"};
  return kNames[static_cast<size_t>(pattern)];
}

inline Pattern draw_pattern(Draw& draw) {
  // Random data is the most telling: half of the cases.
  if (draw.one_in(2)) return Pattern::kRandom;
  return static_cast<Pattern>(draw.integer(0, static_cast<int64_t>(Pattern::kCount) - 1));
}

inline std::vector<int8_t> make_s8(Draw& draw, int64_t count, Pattern pattern, int32_t zero_point) {
  std::vector<int8_t> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) {
    int32_t value = 0;
    switch (pattern) {
      case Pattern::kLowest:
        value = -128;
        break;
      case Pattern::kHighest:
        value = 127;
        break;
      case Pattern::kAlternating:
        value = (i & 1) != 0 ? 127 : -128;
        break;
      case Pattern::kZeroPoint:
        value = zero_point;
        break;
      case Pattern::kNarrow:
        value = static_cast<int32_t>(draw.next() % 5) - 2;
        break;
      default:
        value = static_cast<int32_t>(draw.next() % 256) - 128;
        break;
    }
    values[i] = static_cast<int8_t>(value);
  }
  return values;
}

inline std::vector<float> make_f32(Draw& draw, int64_t count, float lo, float hi) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = draw.real(lo, hi);
  return values;
}

inline int32_t draw_zero_point(Draw& draw) {
  return draw.pick({draw.int32(-128, 127), -128, 127, 0});
}

// A range as fused activations leave it: everything, from the zero point up, or any (even a single
// value).
inline void draw_range(Draw& draw, int32_t zero_point, int32_t* lo, int32_t* hi) {
  *lo = -128;
  *hi = 127;
  const int32_t kind = draw.int32(0, 3);
  if (kind == 1) {
    *lo = zero_point;
  } else if (kind == 2) {
    *lo = draw.int32(-128, 127);
    *hi = draw.int32(*lo, 127);
  }
}

}  // namespace edgecv_test

#endif  // EDGECV_TESTS_CPP_KERNELS_CASE_H_
