#include "vision/rows.h"

#include <atomic>

#include "kernels/cpu_features.h"
#include "kernels/kernel.h"

namespace edgecv::vision {

const RowCode kBaselineRows = {"baseline", resize_row_baseline, blend_rows_baseline,
                               yuv_row_baseline};

namespace {

// Asking the CPU is slow, in a virtual machine above all, and the answer stays.
std::atomic<const RowCode*> g_chosen{nullptr};

const RowCode& chosen() {
  const RowCode* code = g_chosen.load(std::memory_order_relaxed);
  if (code == nullptr) {
    code = &kBaselineRows;
    for (size_t i = 0; row_code(i) != nullptr; ++i) code = row_code(i);
    g_chosen.store(code, std::memory_order_relaxed);
  }
  return *code;
}

}  // namespace

const RowCode* row_code(size_t index) {
  if (index == 0) return &kBaselineRows;
#if defined(EDGECV_HAVE_AVX2)
  if (index == 1 && (kernels::detect_isa_bits() & kernels::kIsaAvx2) != 0) return &kAvx2Rows;
#endif
  return nullptr;
}

void resize_row(const uint8_t* row, size_t row_bytes, const AxisWeights& axis, int32_t count,
                uint8_t* out) {
  chosen().resize_row(row, row_bytes, axis, count, out);
}

void blend_rows(const uint8_t* const* rows, const WeightPair* pairs, int32_t taps, size_t bytes,
                uint8_t* out) {
  chosen().blend_rows(rows, pairs, taps, bytes, out);
}

void yuv_row(const YuvRow& row, const YuvMatrix& matrix, int32_t first, int32_t count,
             uint8_t* out) {
  chosen().yuv_row(row, matrix, first, count, out);
}

}  // namespace edgecv::vision
