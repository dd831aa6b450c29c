// The two resize loops against int64 loops, on memory that ends where they must stop reading; and
// the promises docs/preprocess.md makes about the weights.
#include <algorithm>
#include <string>
#include <vector>

#include "check.h"
#include "kernels/cpu_features.h"
#include "kernels/kernel.h"
#include "vision/rows.h"

namespace {

using namespace edgecv::vision;
using edgecv_test::GuardedBuffer;
using edgecv_test::Random;

// AxisWeights with its arrays.
struct Weights {
  explicit Weights(const Axis& axis) {
    view.max_taps = axis_max_taps(axis);
    view.max_pairs = (view.max_taps + 1) / 2;
    starts.resize(static_cast<size_t>(axis.count));
    counts.resize(static_cast<size_t>(axis.count));
    pairs.resize(static_cast<size_t>(axis.count) * static_cast<size_t>(view.max_pairs));
    view.start = starts.data();
    view.taps = counts.data();
    view.pairs = pairs.data();
    fill_axis_weights(axis, &view);
  }
  int64_t weight(int32_t i, int32_t k) const {
    const WeightPair& pair = pairs[static_cast<size_t>(i * view.max_pairs + k / 2)];
    return pair.high[k % 2] * 2048 + pair.low[k % 2];
  }
  std::vector<int32_t> starts;
  std::vector<int32_t> counts;
  std::vector<WeightPair> pairs;
  AxisWeights view;
};

Axis whole_axis(int32_t in_size, int32_t out_size, Interpolation interpolation, bool antialias) {
  return {in_size, out_size, 0, out_size, interpolation, antialias};
}

uint8_t finish(int64_t acc) {
  acc = (acc + (1 << 21)) >> 22;
  return static_cast<uint8_t>(std::min<int64_t>(255, std::max<int64_t>(0, acc)));
}

std::string axis_text(const Axis& axis) {
  return std::to_string(axis.in_size) + " to " + std::to_string(axis.out_size) +
         (axis.interpolation == Interpolation::kBicubic ? " bicubic" : " bilinear") +
         (axis.antialias ? " antialias" : "");
}

// Values that stress a sum: all 255, 0/255 at random, or anything.
void fill_samples(Random* random, uint8_t* data, size_t count) {
  const int64_t kind = random->integer(0, 2);
  for (size_t i = 0; i < count; ++i) {
    const int64_t v = random->integer(0, 255);
    data[i] = static_cast<uint8_t>(kind == 0 ? 255 : kind == 1 ? (v & 1) * 255 : v);
  }
}

std::vector<Axis> axes() {
  std::vector<Axis> list;
  const int32_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 64, 100, 223, 224, 225, 401};
  for (int32_t in_size : sizes) {
    for (int32_t out_size : sizes) {
      for (Interpolation interpolation : {Interpolation::kBilinear, Interpolation::kBicubic}) {
        for (bool antialias : {true, false}) {
          list.push_back(whole_axis(in_size, out_size, interpolation, antialias));
        }
      }
    }
  }
  return list;
}

}  // namespace

TEST(weights_keep_their_promises) {
  Random random;
  std::vector<Axis> list = axes();
  for (int i = 0; i < 300; ++i) {
    const auto interpolation = static_cast<Interpolation>(random.integer(0, 1));
    list.push_back(whole_axis(static_cast<int32_t>(random.integer(1, 5000)),
                              static_cast<int32_t>(random.integer(1, 3000)), interpolation,
                              random.integer(0, 3) != 0));
  }
  for (Interpolation interpolation : {Interpolation::kBilinear, Interpolation::kBicubic}) {
    list.push_back(whole_axis(32768, 8, interpolation, true));
    list.push_back(whole_axis(4096, 1, interpolation, true));
    list.push_back(whole_axis(32768, 8192, interpolation, true));
    list.push_back(whole_axis(1, 8192, interpolation, true));
  }
  for (const Axis& axis : list) {
    WITH_CONTEXT(axis_text(axis));
    const Weights weights(axis);
    for (int32_t i = 0; i < axis.count; ++i) {
      const int32_t taps = weights.view.taps[i];
      CHECK(taps >= 1 && taps <= weights.view.max_taps);
      CHECK(weights.view.start[i] >= 0 && weights.view.start[i] + taps <= axis.in_size);
      if (i > 0) {
        CHECK(weights.view.start[i] >= weights.view.start[i - 1]);
        CHECK(weights.view.start[i] + taps >= weights.view.start[i - 1] + weights.view.taps[i - 1]);
      }
      int64_t sum = 0, magnitude = 0;
      for (int32_t k = 0; k < 2 * weights.view.max_pairs; ++k) {
        const int64_t w = weights.weight(i, k);
        if (k >= taps) CHECK_EQ(w, 0);
        sum += w;
        magnitude += w < 0 ? -w : w;
      }
      CHECK(2 * std::abs(sum - (1 << 22)) <= taps);     // a flat picture stays flat
      CHECK(magnitude * 255 + (1 << 21) <= INT32_MAX);  // s32 sums do not overflow
    }
  }
}

TEST(a_part_of_an_axis_has_the_weights_of_the_whole) {
  const Axis whole = whole_axis(500, 333, Interpolation::kBicubic, true);
  Axis part = whole;
  part.first = 54;
  part.count = 224;
  const Weights all(whole), some(part);
  CHECK_EQ(all.view.max_taps, some.view.max_taps);
  CHECK_ARRAYS(some.view.start, all.view.start + 54, 224);
  CHECK_ARRAYS(some.view.taps, all.view.taps + 54, 224);
  for (int32_t i = 0; i < 224; ++i) {
    for (int32_t k = 0; k < some.view.taps[i]; ++k)
      CHECK_EQ(some.weight(i, k), all.weight(54 + i, k));
  }
}

TEST(resize_row_matches_int64) {
  Random random;
  for (const Axis& axis : axes()) {
    WITH_CONTEXT(axis_text(axis));
    const Weights weights(axis);
    GuardedBuffer<uint8_t> row(3 * static_cast<size_t>(axis.in_size));
    fill_samples(&random, row.data(), row.size());
    const size_t count = 3 * static_cast<size_t>(axis.count);
    std::vector<uint8_t> want(count);
    for (size_t x = 0; x < count; ++x) {
      const int32_t i = static_cast<int32_t>(x / 3);
      int64_t acc = 0;
      for (int32_t k = 0; k < weights.view.taps[i]; ++k) {
        acc +=
            weights.weight(i, k) * row[3 * static_cast<size_t>(weights.view.start[i] + k) + x % 3];
      }
      want[x] = finish(acc);
    }
    GuardedBuffer<uint8_t> portable(count);
    resize_row_portable(row.data(), weights.view, axis.count, portable.data());
    CHECK_ARRAYS(portable.data(), want.data(), count);
    for (size_t c = 0; row_code(c) != nullptr; ++c) {
      WITH_CONTEXT(row_code(c)->name);
      GuardedBuffer<uint8_t> got(count);
      row_code(c)->resize_row(row.data(), row.size(), weights.view, axis.count, got.data());
      CHECK_ARRAYS(got.data(), want.data(), count);
    }
  }
}

TEST(blend_rows_matches_int64) {
  Random random;
  for (const Axis& axis : axes()) {
    if (axis.out_size > 17) continue;
    WITH_CONTEXT(axis_text(axis));
    const Weights weights(axis);
    const size_t bytes = 3 * static_cast<size_t>(random.integer(1, 70));
    GuardedBuffer<uint8_t> picture(bytes * static_cast<size_t>(axis.in_size));
    fill_samples(&random, picture.data(), picture.size());
    for (int32_t i = 0; i < axis.count; ++i) {
      const int32_t taps = weights.view.taps[i];
      std::vector<const uint8_t*> rows;
      for (int32_t k = 0; k < taps; ++k) {
        rows.push_back(picture.data() + static_cast<size_t>(weights.view.start[i] + k) * bytes);
      }
      std::vector<uint8_t> want(bytes);
      for (size_t x = 0; x < bytes; ++x) {
        int64_t acc = 0;
        for (int32_t k = 0; k < taps; ++k)
          acc += weights.weight(i, k) * rows[static_cast<size_t>(k)][x];
        want[x] = finish(acc);
      }
      const WeightPair* pairs = weights.view.pairs + i * weights.view.max_pairs;
      GuardedBuffer<uint8_t> portable(bytes);
      blend_rows_portable(rows.data(), pairs, taps, bytes, portable.data());
      CHECK_ARRAYS(portable.data(), want.data(), bytes);
      for (size_t c = 0; row_code(c) != nullptr; ++c) {
        WITH_CONTEXT(row_code(c)->name);
        GuardedBuffer<uint8_t> got(bytes);
        row_code(c)->blend_rows(rows.data(), pairs, taps, bytes, got.data());
        CHECK_ARRAYS(got.data(), want.data(), bytes);
      }
    }
  }
}

TEST(row_code_is_what_the_cpu_has) {
  REQUIRE(row_code(0) != nullptr);
  CHECK_EQ(std::string(row_code(0)->name), "baseline");
#if defined(EDGECV_HAVE_AVX2)
  const bool has = (edgecv::kernels::detect_isa_bits() & edgecv::kernels::kIsaAvx2) != 0;
  CHECK_EQ(row_code(1) != nullptr, has);
#else
  CHECK(row_code(1) == nullptr);
#endif
}
