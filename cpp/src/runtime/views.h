// Views: tensors that live inside the memory of others, so that nothing is copied. Reshapes (and
// what else keeps the order of all bytes) share the memory of their input. A slice lies in its
// input, with gaps between its pixels when it takes some channels of each; the parts of a concat
// are written where the whole one has them. A slice or a part is copied all the same when one of
// its readers or writers needs it dense, when it is already part of something else, or when the
// caller sees it (a graph input or output).
#ifndef EDGECV_RUNTIME_VIEWS_H_
#define EDGECV_RUNTIME_VIEWS_H_

#include "base/array.h"
#include "base/status.h"
#include "format/reader.h"
#include "ops/op.h"

namespace edgecv::runtime {

// Fills (*views)[tensor] for every tensor. With `share` false only ops::is_alias() ones share
// memory.
Status find_views(const format::ParsedModel& model, bool share, const Allocator& allocator,
                  Array<ops::View>* views, Error* error);

}  // namespace edgecv::runtime

#endif  // EDGECV_RUNTIME_VIEWS_H_
