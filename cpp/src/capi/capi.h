// What the files of the C API share: its handles are the runtime's objects, its structs carry their
// size.
#ifndef EDGECV_CAPI_CAPI_H_
#define EDGECV_CAPI_CAPI_H_

#include <string.h>

#include "base/status.h"
#include "edgecv/edgecv.h"
#include "runtime/model.h"
#include "runtime/session.h"
#include "vision/preprocess.h"

namespace edgecv::capi {

inline runtime::Model* unwrap(edgecv_model* model) {
  return reinterpret_cast<runtime::Model*>(model);
}
inline const runtime::Model* unwrap(const edgecv_model* model) {
  return reinterpret_cast<const runtime::Model*>(model);
}
inline runtime::Session* unwrap(edgecv_session* session) {
  return reinterpret_cast<runtime::Session*>(session);
}
inline const runtime::Session* unwrap(const edgecv_session* session) {
  return reinterpret_cast<const runtime::Session*>(session);
}

// Hands the outcome to the caller.
inline edgecv_status give(Status status, const Error& error, edgecv_error* out) {
  if (out != nullptr) {
    out->status = static_cast<edgecv_status>(status);
    if (status == Status::kOk) {
      out->text[0] = 0;
    } else {
      static_assert(sizeof(out->text) == sizeof(error.text), "one length of error text");
      memcpy(out->text, error.text[0] != 0 ? error.text : status_name(status),
             error.text[0] != 0 ? sizeof(out->text) : strlen(status_name(status)) + 1);
    }
  }
  return static_cast<edgecv_status>(status);
}

// Runs `body(Error*)` and hands its outcome to the caller.
template <typename Body>
edgecv_status call(edgecv_error* out, const Body& body) {
  Error error;
  const Status status = body(&error);
  return give(status, error, out);
}

inline Status null_argument(const char* what, Error* error) {
  return fail(error, Status::kInvalidArgument, "%s is NULL", what);
}

inline Status no_such(const char* what, uint32_t index, size_t count, Error* error) {
  return fail(error, Status::kInvalidArgument, "there is no %s %u: there are %zu", what, index,
              count);
}

// What a caller described, judged.
Status read_preprocess(const edgecv_preprocess* given, vision::PreprocessSpec* spec, Error* error);
Status read_image(const edgecv_image* given, vision::ImageView* image, Error* error);
Status read_frame(const edgecv_frame* given, vision::Frame* frame, Error* error);

// More than any struct of the API will ever have: a larger `size` was never set.
constexpr size_t kMostStructBytes = 4096;

// Copies as much of `full` as the caller's struct has room for; what is new to it becomes 0.
template <typename Info>
Status give_info(Info* info, const Info& full, Error* error) {
  if (info == nullptr) return null_argument("the struct to fill", error);
  const size_t size = info->size;
  if (size <= sizeof(info->size) || size > kMostStructBytes) {
    return fail(error, Status::kInvalidArgument, "the struct to fill says its size is %zu", size);
  }
  memcpy(static_cast<void*>(info), &full, size < sizeof(full) ? size : sizeof(full));
  if (size > sizeof(full))
    memset(reinterpret_cast<char*>(info) + sizeof(full), 0, size - sizeof(full));
  info->size = size;
  return Status::kOk;
}

// Judges the size of a struct to read: at least `least` bytes, and zeros where it is larger than
// the one known here, `known` bytes.
inline Status check_struct(const char* what, const void* given, size_t size, size_t least,
                           size_t known, Error* error) {
  if (size < least || size > kMostStructBytes) {
    return fail(error, Status::kInvalidArgument, "%s: its size is said to be %zu", what, size);
  }
  for (size_t i = known; i < size; ++i) {
    if (static_cast<const char*>(given)[i] != 0) {
      return fail(error, Status::kInvalidArgument,
                  "%s: something is set that this version of edgecv does not know", what);
    }
  }
  return Status::kOk;
}

}  // namespace edgecv::capi

#endif  // EDGECV_CAPI_CAPI_H_
