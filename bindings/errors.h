// From C API statuses to the exceptions of edgecv.errors.
#ifndef EDGECV_BINDINGS_ERRORS_H_
#define EDGECV_BINDINGS_ERRORS_H_

#include <pybind11/pybind11.h>

#include "edgecv/edgecv.h"

namespace edgecv_bindings {

// Raises what edgecv.errors.from_status(status name, text) gives; the GIL must be held.
[[noreturn]] void raise(const edgecv_error& error);

inline void check(edgecv_status status, const edgecv_error& error) {
  if (status != EDGECV_STATUS_OK) raise(error);
}

// Text of a file is UTF-8 when the reader accepted it; an operating system's message may be
// anything.
pybind11::str text(const char* value);

}  // namespace edgecv_bindings

#endif  // EDGECV_BINDINGS_ERRORS_H_
