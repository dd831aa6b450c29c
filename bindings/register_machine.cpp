// The version, this CPU and the kernel table.
#include <pybind11/pybind11.h>

#include "edgecv/edgecv.h"
#include "errors.h"
#include "register.h"

namespace py = pybind11;

namespace edgecv_bindings {
namespace {

// [(name, usable)], lowest first.
py::list isas() {
  py::list result;
  int32_t usable = 0;
  for (uint32_t i = 0; const char* name = edgecv_isa_name(i, &usable); ++i) {
    result.append(py::make_tuple(name, usable != 0));
  }
  return result;
}

py::str cpu_name() {
  char name[128];
  edgecv_cpu_name(name, sizeof(name));
  return text(name);
}

py::list kernels() {
  py::list result;
  for (uint32_t i = 0; i < edgecv_kernel_count(); ++i) {
    edgecv_kernel_info info = {};
    info.size = sizeof(info);
    edgecv_error error;
    check(edgecv_kernel_at(i, &info, &error), error);
    py::dict kernel;
    kernel["name"] = info.name;
    kernel["family"] = info.family;
    kernel["isa"] = info.isa;
    kernel["usable"] = info.usable != 0;
    result.append(kernel);
  }
  return result;
}

}  // namespace

void register_machine(py::module_& module) {
  module.def("version", &edgecv_version);
  module.def("cpu_name", &cpu_name);
  module.def("isas", &isas);
  module.def("available_threads", &edgecv_available_threads);
  module.def("kernels", &kernels);
}

}  // namespace edgecv_bindings
