#include "register.h"

PYBIND11_MODULE(_core, module) {
  module.doc() = "The compiled core of edgecv; private: use edgecv.load().";
  edgecv_bindings::register_machine(module);
  edgecv_bindings::register_model(module);
  edgecv_bindings::register_session(module);
  edgecv_bindings::register_preprocess(module);
  edgecv_bindings::register_frame(module);
}
