// The rules of docs/ops.md, op by op: operands, dtypes, shapes, attributes, tables, accumulator
// bounds.
#ifndef EDGECV_FORMAT_JUDGE_OPS_H_
#define EDGECV_FORMAT_JUDGE_OPS_H_

#include <stdint.h>

#include "format/reader.h"

namespace edgecv::format {

// Judges op `index` of a model whose structure (ids, records, order) was judged. On kOk *work is
// what the op counts for Limits::work.
Status judge_op(const ParsedModel& model, uint32_t index, int64_t* work, Error* error);

}  // namespace edgecv::format

#endif  // EDGECV_FORMAT_JUDGE_OPS_H_
