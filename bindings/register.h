// One function a file of this folder; module.cpp calls them all.
#ifndef EDGECV_BINDINGS_REGISTER_H_
#define EDGECV_BINDINGS_REGISTER_H_

#include <pybind11/pybind11.h>

namespace edgecv_bindings {

void register_frame(pybind11::module_& module);
void register_machine(pybind11::module_& module);
void register_model(pybind11::module_& module);
void register_preprocess(pybind11::module_& module);
void register_session(pybind11::module_& module);

}  // namespace edgecv_bindings

#endif  // EDGECV_BINDINGS_REGISTER_H_
