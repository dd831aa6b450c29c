// Sessions: argument checks, nothing else.
#include "runtime/session.h"

#include "capi/capi.h"

using namespace edgecv;        // NOLINT: the shell's own functions have C names
using namespace edgecv::capi;  // NOLINT

namespace {

// Before the cast to format::Dtype, which keeps the low byte alone.
Status check_dtype(edgecv_dtype dtype, Error* error) {
  if (dtype == EDGECV_DTYPE_F32 || dtype == EDGECV_DTYPE_S8 || dtype == EDGECV_DTYPE_S32) {
    return Status::kOk;
  }
  return fail(error, Status::kInvalidArgument, "the dtype is %d", static_cast<int>(dtype));
}

Status check_layout(edgecv_layout layout, Error* error) {
  if (layout == EDGECV_LAYOUT_API || layout == EDGECV_LAYOUT_RAW) return Status::kOk;
  return fail(error, Status::kInvalidArgument, "the layout is %d", static_cast<int>(layout));
}

Status create(edgecv_model* model, bool traced, edgecv_session** session, Error* error) {
  if (model == nullptr) return null_argument("`model`", error);
  if (session == nullptr) return null_argument("`session`", error);
  runtime::Session* created = nullptr;
  EDGECV_TRY(runtime::Session::create(unwrap(model), &created, error, traced));
  *session = reinterpret_cast<edgecv_session*>(created);
  return Status::kOk;
}

}  // namespace

extern "C" {

edgecv_status edgecv_session_create(edgecv_model* model, edgecv_session** session,
                                    edgecv_error* error) {
  return call(error, [&](Error* e) { return create(model, false, session, e); });
}

edgecv_status edgecv_session_create_traced(edgecv_model* model, edgecv_session** session,
                                           edgecv_error* error) {
  return call(error, [&](Error* e) { return create(model, true, session, e); });
}

void edgecv_session_destroy(edgecv_session* session) {
  if (session != nullptr) unwrap(session)->destroy();
}

const edgecv_model* edgecv_session_model(const edgecv_session* session) {
  if (session == nullptr) return nullptr;
  return reinterpret_cast<const edgecv_model*>(&unwrap(session)->model());
}

edgecv_status edgecv_session_set_input(edgecv_session* session, uint32_t index, const void* data,
                                       size_t bytes, edgecv_dtype dtype, edgecv_layout layout,
                                       edgecv_error* error) {
  return call(error, [&](Error* e) {
    if (session == nullptr) return null_argument("`session`", e);
    EDGECV_TRY(check_dtype(dtype, e));
    EDGECV_TRY(check_layout(layout, e));
    return unwrap(session)->set_input(index, data, bytes, static_cast<format::Dtype>(dtype),
                                      layout == EDGECV_LAYOUT_API, e);
  });
}

edgecv_status edgecv_session_map_input(edgecv_session* session, uint32_t index, void** data,
                                       size_t* bytes, edgecv_error* error) {
  return call(error, [&](Error* e) {
    if (session == nullptr) return null_argument("`session`", e);
    if (data == nullptr || bytes == nullptr) return null_argument("a result's place", e);
    return unwrap(session)->map_input(index, data, bytes, e);
  });
}

edgecv_status edgecv_session_set_image(edgecv_session* session, uint32_t index, uint32_t batch,
                                       const edgecv_image* image, edgecv_error* error) {
  return call(error, [&](Error* e) {
    if (session == nullptr) return null_argument("`session`", e);
    vision::ImageView view;
    EDGECV_TRY(read_image(image, &view, e));
    return unwrap(session)->set_frame(index, batch, vision::frame_of(view), e);
  });
}

edgecv_status edgecv_session_run(edgecv_session* session, edgecv_error* error) {
  return call(error, [&](Error* e) {
    if (session == nullptr) return null_argument("`session`", e);
    return unwrap(session)->run(e);
  });
}

edgecv_status edgecv_session_get_output(const edgecv_session* session, uint32_t index, void* data,
                                        size_t bytes, edgecv_dtype dtype, edgecv_layout layout,
                                        edgecv_error* error) {
  return call(error, [&](Error* e) {
    if (session == nullptr) return null_argument("`session`", e);
    EDGECV_TRY(check_dtype(dtype, e));
    EDGECV_TRY(check_layout(layout, e));
    return unwrap(session)->get_output(index, data, bytes, static_cast<format::Dtype>(dtype),
                                       layout == EDGECV_LAYOUT_API, e);
  });
}

edgecv_status edgecv_session_map_output(const edgecv_session* session, uint32_t index,
                                        const void** data, size_t* bytes, edgecv_error* error) {
  return call(error, [&](Error* e) {
    if (session == nullptr) return null_argument("`session`", e);
    if (data == nullptr || bytes == nullptr) return null_argument("a result's place", e);
    return unwrap(session)->map_output(index, data, bytes, e);
  });
}

edgecv_status edgecv_session_read_tensor(const edgecv_session* session, uint32_t tensor, void* data,
                                         size_t bytes, edgecv_dtype dtype, edgecv_error* error) {
  return call(error, [&](Error* e) {
    if (session == nullptr) return null_argument("`session`", e);
    EDGECV_TRY(check_dtype(dtype, e));
    return unwrap(session)->read_tensor(tensor, data, bytes, static_cast<format::Dtype>(dtype), e);
  });
}

edgecv_status edgecv_session_set_timing(edgecv_session* session, int32_t on, edgecv_error* error) {
  return call(error, [&](Error* e) {
    if (session == nullptr) return null_argument("`session`", e);
    return unwrap(session)->set_timing(on != 0, e);
  });
}

edgecv_status edgecv_session_step_times(const edgecv_session* session, uint64_t* nanoseconds,
                                        size_t count, edgecv_error* error) {
  return call(error, [&](Error* e) {
    if (session == nullptr) return null_argument("`session`", e);
    if (nanoseconds == nullptr) return null_argument("`nanoseconds`", e);
    const runtime::Session& own = *unwrap(session);
    const size_t steps = own.model().plan().steps.size();
    if (count != steps)
      return fail(e, Status::kInvalidArgument, "the model has %zu steps, not %zu", steps, count);
    if (own.step_times().size() != steps)
      return fail(e, Status::kWrongState, "timing was never on");
    memcpy(nanoseconds, own.step_times().data(), steps * sizeof(uint64_t));
    return Status::kOk;
  });
}

edgecv_status edgecv_session_set_op_callback(edgecv_session* session, edgecv_op_function function,
                                             void* context, edgecv_error* error) {
  return call(error, [&](Error* e) {
    if (session == nullptr) return null_argument("`session`", e);
    unwrap(session)->set_op_callback(function, context);
    return Status::kOk;
  });
}

}  // extern "C"
