// The Python-side owner of an edgecv_model.
#ifndef EDGECV_BINDINGS_MODEL_H_
#define EDGECV_BINDINGS_MODEL_H_

#include <utility>

#include "edgecv/edgecv.h"

namespace edgecv_bindings {

class Model {
 public:
  explicit Model(edgecv_model* handle) : handle_(handle) {}
  Model(Model&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;
  ~Model() { edgecv_model_destroy(handle_); }

  edgecv_model* handle() const { return handle_; }

 private:
  edgecv_model* handle_;
};

}  // namespace edgecv_bindings

#endif  // EDGECV_BINDINGS_MODEL_H_
