// A pre-processing spec from Python: the 17 numbers of edgecv.Preprocess.to_spec().
#ifndef EDGECV_BINDINGS_SPEC_H_
#define EDGECV_BINDINGS_SPEC_H_

#include <pybind11/pybind11.h>

#include "edgecv/edgecv.h"

namespace edgecv_bindings {

// Raises ValueError for another number of numbers, or one that does not fit its field.
edgecv_preprocess read_spec(const pybind11::sequence& spec);

}  // namespace edgecv_bindings

#endif  // EDGECV_BINDINGS_SPEC_H_
