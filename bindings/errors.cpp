#include "errors.h"

#include <cstring>

namespace py = pybind11;

namespace edgecv_bindings {

py::str text(const char* value) {
  PyObject* decoded =
      PyUnicode_DecodeUTF8(value, static_cast<Py_ssize_t>(std::strlen(value)), "replace");
  if (decoded == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::str>(decoded);
}

void raise(const edgecv_error& error) {
  const py::object exception =
      py::module_::import("edgecv.errors")
          .attr("from_status")(edgecv_status_name(error.status), text(error.text));
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())), exception.ptr());
  throw py::error_already_set();
}

}  // namespace edgecv_bindings
