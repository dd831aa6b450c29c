// Camera frames: to a model's input, to pre-processed pixels, to RGB.
#include "vision/frame.h"

#include "capi/capi.h"

using namespace edgecv;        // NOLINT: the shell's own functions have C names
using namespace edgecv::capi;  // NOLINT

namespace edgecv::capi {

Status read_frame(const edgecv_frame* given, vision::Frame* frame, Error* error) {
  if (given == nullptr) return null_argument("`frame`", error);
  EDGECV_TRY(check_struct("the frame", given, given->size, sizeof(*given), sizeof(*given), error));
  memset(static_cast<void*>(frame), 0, sizeof(*frame));
  // As bytes: a caller's enum may hold what is none of its values.
  static_assert(sizeof(given->format) == sizeof(frame->format) &&
                    sizeof(given->color) == sizeof(frame->color),
                "enums of 32 bits");
  memcpy(&frame->format, &given->format, sizeof(frame->format));
  memcpy(&frame->color, &given->color, sizeof(frame->color));
  frame->width = given->width;
  frame->height = given->height;
  for (int plane = 0; plane < 2; ++plane) {
    frame->planes[plane] = given->planes[plane];
    frame->strides[plane] = given->strides[plane];
    if (given->strides[plane] == 0 && given->width > 0)
      frame->strides[plane] = vision::frame_row_bytes(frame->format, plane, given->width);
  }
  const bool whole = given->roi_left == 0 && given->roi_top == 0 && given->roi_width == 0 &&
                     given->roi_height == 0;
  frame->left = given->roi_left;
  frame->top = given->roi_top;
  frame->region_width = whole ? given->width : given->roi_width;
  frame->region_height = whole ? given->height : given->roi_height;
  return vision::check_frame(*frame, error);
}

}  // namespace edgecv::capi

extern "C" {

edgecv_status edgecv_preprocess_frame(const edgecv_preprocess* preprocess,
                                      const edgecv_frame* frame, edgecv_pixels kind, float scale,
                                      int32_t zero_point, void* data, size_t bytes,
                                      edgecv_error* error) {
  return call(error, [&](Error* e) {
    vision::PreprocessSpec spec;
    vision::Frame view;
    EDGECV_TRY(read_preprocess(preprocess, &spec, e));
    EDGECV_TRY(read_frame(frame, &view, e));
    const vision::PreprocessOutput output = {static_cast<vision::OutputKind>(kind), data, bytes,
                                             scale, zero_point};
    return vision::preprocess_frame(spec, view, output, default_allocator(), e);
  });
}

edgecv_status edgecv_frame_to_rgb(const edgecv_frame* frame, uint8_t* pixels, size_t bytes,
                                  edgecv_error* error) {
  return call(error, [&](Error* e) {
    if (pixels == nullptr) return null_argument("`pixels`", e);
    vision::Frame view;
    EDGECV_TRY(read_frame(frame, &view, e));
    const size_t row = 3 * static_cast<size_t>(view.region_width);
    if (bytes / row != static_cast<size_t>(view.region_height) || bytes % row != 0) {
      return fail(e, Status::kInvalidArgument, "%d x %d pixels of RGB are not %zu bytes",
                  view.region_width, view.region_height, bytes);
    }
    for (int32_t y = 0; y < view.region_height; ++y)
      vision::frame_row(view, y, 0, view.region_width, pixels + static_cast<size_t>(y) * row);
    return Status::kOk;
  });
}

edgecv_status edgecv_session_set_frame(edgecv_session* session, uint32_t index, uint32_t batch,
                                       const edgecv_frame* frame, edgecv_error* error) {
  return call(error, [&](Error* e) {
    if (session == nullptr) return null_argument("`session`", e);
    vision::Frame view;
    EDGECV_TRY(read_frame(frame, &view, e));
    return unwrap(session)->set_frame(index, batch, view, e);
  });
}

}  // extern "C"
