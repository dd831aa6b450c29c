// Pre-processing on its own, and that of a model.
#include "vision/preprocess.h"

#include "capi/capi.h"

using namespace edgecv;        // NOLINT: the shell's own functions have C names
using namespace edgecv::capi;  // NOLINT

namespace edgecv::capi {

Status read_preprocess(const edgecv_preprocess* given, vision::PreprocessSpec* spec, Error* error) {
  if (given == nullptr) return null_argument("`preprocess`", error);
  EDGECV_TRY(check_struct("the pre-processing", given, given->size, sizeof(*given), sizeof(*given),
                          error));
  memset(static_cast<void*>(spec), 0, sizeof(*spec));
  spec->resize_mode = static_cast<vision::ResizeMode>(given->resize_mode);
  spec->interpolation = static_cast<vision::Interpolation>(given->interpolation);
  spec->antialias = given->antialias;
  spec->resize_width = given->resize_width;
  spec->resize_height = given->resize_height;
  spec->crop_width = given->crop_width;
  spec->crop_height = given->crop_height;
  spec->color_order = static_cast<vision::ColorOrder>(given->color_order);
  memcpy(spec->mean, given->mean, sizeof(spec->mean));
  memcpy(spec->std, given->std, sizeof(spec->std));
  memcpy(spec->fill, given->fill, sizeof(spec->fill));
  return vision::check_preprocess(*spec, error);
}

Status read_image(const edgecv_image* given, vision::ImageView* image, Error* error) {
  if (given == nullptr) return null_argument("`image`", error);
  EDGECV_TRY(check_struct("the image", given, given->size, sizeof(*given), sizeof(*given), error));
  *image = {given->pixels, given->width, given->height, given->stride};
  return Status::kOk;
}

}  // namespace edgecv::capi

extern "C" {

edgecv_status edgecv_model_preprocess(const edgecv_model* model, uint32_t index,
                                      edgecv_preprocess* preprocess, edgecv_error* error) {
  return call(error, [&](Error* e) {
    if (model == nullptr) return null_argument("`model`", e);
    const format::ParsedModel& file = unwrap(model)->file();
    if (index >= file.preprocess.size())
      return no_such("pre-processing", index, file.preprocess.size(), e);
    const format::PreprocessRecord& record = file.preprocess[index];
    edgecv_preprocess full;
    memset(&full, 0, sizeof(full));
    full.resize_mode = record.resize_mode;
    full.interpolation = record.interpolation;
    full.antialias = record.antialias;
    full.resize_width = record.resize_width;
    full.resize_height = record.resize_height;
    full.crop_width = record.crop_width;
    full.crop_height = record.crop_height;
    full.color_order = record.color_order;
    memcpy(full.mean, record.mean, sizeof(full.mean));
    memcpy(full.std, record.std, sizeof(full.std));
    memcpy(full.fill, record.fill, sizeof(full.fill));
    return give_info(preprocess, full, e);
  });
}

edgecv_status edgecv_preprocess_check(const edgecv_preprocess* preprocess, edgecv_error* error) {
  return call(error, [&](Error* e) {
    vision::PreprocessSpec spec;
    return read_preprocess(preprocess, &spec, e);
  });
}

edgecv_status edgecv_preprocess_size(const edgecv_preprocess* preprocess, int32_t image_width,
                                     int32_t image_height, int32_t* width, int32_t* height,
                                     int32_t* channels, edgecv_error* error) {
  return call(error, [&](Error* e) {
    if (width == nullptr || height == nullptr || channels == nullptr)
      return null_argument("a result's place", e);
    vision::PreprocessSpec spec;
    EDGECV_TRY(read_preprocess(preprocess, &spec, e));
    vision::PreprocessGeometry geometry;
    EDGECV_TRY(vision::preprocess_geometry(spec, image_width, image_height, &geometry, e));
    *width = geometry.width;
    *height = geometry.height;
    *channels = vision::preprocess_channels(spec);
    return Status::kOk;
  });
}

edgecv_status edgecv_preprocess_run(const edgecv_preprocess* preprocess, const edgecv_image* image,
                                    edgecv_pixels kind, float scale, int32_t zero_point, void* data,
                                    size_t bytes, edgecv_error* error) {
  return call(error, [&](Error* e) {
    vision::ImageView view;
    EDGECV_TRY(read_image(image, &view, e));
    vision::PreprocessSpec spec;
    EDGECV_TRY(read_preprocess(preprocess, &spec, e));
    const vision::PreprocessOutput output = {static_cast<vision::OutputKind>(kind), data, bytes,
                                             scale, zero_point};
    return vision::preprocess_image(spec, view, output, default_allocator(), e);
  });
}

}  // extern "C"
