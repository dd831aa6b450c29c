// Runs one kernel on one case the way the runtime may: constants and inputs read-only and next to
// unmapped pages, packed weights read-only after packing, scratch and output full of garbage, the
// work cut into random pieces done in random order.
#ifndef EDGECV_TESTS_CPP_KERNELS_RUN_KERNEL_H_
#define EDGECV_TESTS_CPP_KERNELS_RUN_KERNEL_H_

#include <algorithm>
#include <atomic>
#include <cmath>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "case.h"
#include "kernels/kernel.h"

namespace edgecv_test {

struct KernelResult {
  std::vector<uint8_t> out;  // all of out_bytes, gaps included
  int status = 0;            // what run() returned, or-ed over the pieces
  std::string error;         // a broken rule; empty when none
};

constexpr uint64_t kCanarySeed = 0xC0FFEE;

inline void fill_garbage(uint8_t* bytes, size_t count, uint64_t seed) {
  Draw garbage(seed);
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const uint64_t word = garbage.next();
    std::memcpy(bytes + i, &word, sizeof(word));
  }
  for (; i < count; ++i) bytes[i] = static_cast<uint8_t>(garbage.next() >> 56);
}

// The work of [0, items) cut into at most `pieces` random pieces, in random order.
inline std::vector<std::pair<int64_t, int64_t>> split_work(int64_t items, int64_t pieces,
                                                           Draw& draw) {
  std::vector<int64_t> cuts = {0, items};
  for (int64_t i = 1; i < pieces; ++i) cuts.push_back(draw.integer(0, items));
  std::sort(cuts.begin(), cuts.end());
  std::vector<std::pair<int64_t, int64_t>> ranges;
  for (size_t i = 0; i + 1 < cuts.size(); ++i) {
    if (cuts[i] < cuts[i + 1]) ranges.emplace_back(cuts[i], cuts[i + 1]);
  }
  for (size_t i = ranges.size(); i > 1; --i) {
    std::swap(ranges[i - 1],
              ranges[static_cast<size_t>(draw.integer(0, static_cast<int64_t>(i) - 1))]);
  }
  return ranges;
}

// `pieces` 1 runs all work at once; `threaded` gives every piece a thread of its own. Nothing but
// `error` and a crash tells of a broken rule; the caller compares `out`.
inline KernelResult run_kernel(const edgecv::kernels::Kernel& kernel, const Case& c, int64_t pieces,
                               Draw& draw, bool threaded = false) {
  const void* problem = c.problem();
  KernelResult result;
  const auto place = [&draw] {
    return draw.next() % 4 == 0 ? GuardedBytes::Place::kBegin : GuardedBytes::Place::kEnd;
  };

  GuardedBytes packed;
  if (kernel.packed_bytes != nullptr && kernel.packed_bytes(problem) != 0) {
    const size_t bytes = kernel.packed_bytes(problem);
    packed = GuardedBytes(bytes, GuardedBytes::Place::kEnd, 64);
    const size_t padded = (bytes + 63) / 64 * 64;
    fill_garbage(packed.data(), padded, 1);
    const std::vector<uint8_t> slack(packed.data() + bytes, packed.data() + padded);
    kernel.pack(problem, packed.data());
    if (!std::equal(slack.begin(), slack.end(), packed.data() + bytes)) {
      result.error = "pack() wrote beyond packed_bytes()";
      return result;
    }
    packed.make_read_only();
  }

  std::vector<GuardedBytes> inputs;
  std::vector<const void*> in;
  for (const std::vector<uint8_t>& input : c.inputs) {
    inputs.emplace_back(input.size(), place());
    std::copy(input.begin(), input.end(), inputs.back().data());
    inputs.back().make_read_only();
    in.push_back(inputs.back().data());
  }
  GuardedBytes out(c.out_bytes, place());
  fill_garbage(out.data(), c.out_bytes, kCanarySeed);

  const int64_t items = kernel.work_items(problem);
  if (items < 1) {
    result.error = "work_items() is " + std::to_string(items);
    return result;
  }
  const size_t scratch_bytes = kernel.scratch_bytes != nullptr ? kernel.scratch_bytes(problem) : 0;
  const edgecv::kernels::Operands operands = {in.data(), out.data(), packed.data()};
  const auto ranges = split_work(items, pieces, draw);
  const auto run_range = [&](size_t i, GuardedBytes& scratch) {
    fill_garbage(scratch.data(), std::min<size_t>(scratch_bytes, 1 << 14), kCanarySeed + i);
    return kernel.run(problem, operands, ranges[i].first, ranges[i].second, scratch.data());
  };
  if (threaded) {
    std::vector<std::thread> threads;
    std::atomic<int> status{0};
    for (size_t i = 0; i < ranges.size(); ++i) {
      threads.emplace_back([&, i] {
        GuardedBytes scratch(scratch_bytes, GuardedBytes::Place::kEnd, 64);
        status |= run_range(i, scratch);
      });
    }
    for (std::thread& thread : threads) thread.join();
    result.status = status;
  } else {
    GuardedBytes scratch(scratch_bytes, GuardedBytes::Place::kEnd, 64);
    for (size_t i = 0; i < ranges.size(); ++i) result.status |= run_range(i, scratch);
  }
  result.out.assign(out.data(), out.data() + c.out_bytes);
  return result;
}

// Where an output byte lies; gaps between pixels are not output.
inline bool is_output_byte(const Case& c, size_t offset) { return offset % c.out_step < c.out_run; }

// Empty when equal, else the first difference. s8 and s32 outputs and all gaps must be equal to the
// bit; f32 outputs to 1e-4 of the largest magnitude in `want` (docs/ops.md), and to the bit when
// `exact`.
inline std::string compare_outputs(const Case& c, const KernelResult& got, const KernelResult& want,
                                   bool exact) {
  if (!got.error.empty()) return got.error;
  if (got.status != want.status) {
    return "status " + std::to_string(got.status) + ", want " + std::to_string(want.status);
  }
  if (got.status != 0 || got.out == want.out) return "";
  const size_t size = c.out_element;
  float largest = 0.0f;
  if (c.out_is_float) {
    for (size_t i = 0; i + size <= want.out.size(); i += size) {
      float value;
      std::memcpy(&value, &want.out[i], sizeof(value));
      if (is_output_byte(c, i) && std::isfinite(value))
        largest = std::max(largest, std::fabs(value));
    }
  }
  for (size_t i = 0; i + size <= want.out.size(); i += size) {
    if (std::memcmp(&got.out[i], &want.out[i], size) == 0) continue;
    const std::string at = " at element " + std::to_string(i / size) + " (run " +
                           std::to_string(i / c.out_step) + ", channel " +
                           std::to_string(i % c.out_step / size) + ")";
    if (!is_output_byte(c, i)) return "wrote into a gap" + at;
    if (c.out_is_float) {
      float a, b;
      std::memcpy(&a, &got.out[i], sizeof(a));
      std::memcpy(&b, &want.out[i], sizeof(b));
      if (!exact && std::fabs(a - b) <= 1e-4f * largest) continue;
      return "got " + std::to_string(a) + ", want " + std::to_string(b) + at;
    }
    int32_t a = 0, b = 0;
    if (size == 1) {
      a = static_cast<int8_t>(got.out[i]);
      b = static_cast<int8_t>(want.out[i]);
    } else {
      std::memcpy(&a, &got.out[i], sizeof(a));
      std::memcpy(&b, &want.out[i], sizeof(b));
    }
    return "got " + std::to_string(a) + ", want " + std::to_string(b) + at;
  }
  return "";
}

}  // namespace edgecv_test

#endif  // EDGECV_TESTS_CPP_KERNELS_RUN_KERNEL_H_
