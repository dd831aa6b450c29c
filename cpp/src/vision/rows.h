// The code of the passes over rows, chosen once for the CPU that runs this. Every choice gives the
// same bits.
#ifndef EDGECV_VISION_ROWS_H_
#define EDGECV_VISION_ROWS_H_

#include <stddef.h>
#include <stdint.h>

#include "vision/resize.h"
#include "vision/yuv.h"

namespace edgecv::vision {

struct RowCode {
  const char* name;
  decltype(&vision::resize_row) resize_row;
  decltype(&vision::blend_rows) blend_rows;
  decltype(&vision::yuv_row) yuv_row;
};

// What every CPU of the architecture runs: SSE2, NEON or plain loops.
void resize_row_baseline(const uint8_t* row, size_t row_bytes, const AxisWeights& axis,
                         int32_t count, uint8_t* out);
void blend_rows_baseline(const uint8_t* const* rows, const WeightPair* pairs, int32_t taps,
                         size_t bytes, uint8_t* out);
void yuv_row_baseline(const YuvRow& row, const YuvMatrix& matrix, int32_t first, int32_t count,
                      uint8_t* out);
extern const RowCode kBaselineRows;
extern const RowCode kAvx2Rows;  // where EDGECV_HAVE_AVX2

// The code that may run here, best last; null past the end. What resize_row(), blend_rows() and
// yuv_row() call is the last one.
const RowCode* row_code(size_t index);

}  // namespace edgecv::vision

#endif  // EDGECV_VISION_ROWS_H_
