// The rules of a spec and the geometry it gives a picture: integers only.
#include "vision/preprocess.h"

namespace edgecv::vision {
namespace {

bool in_range(float value, float lo, float hi) {
  return value >= lo && value <= hi;
}  // false on NaN

Status check_size(const char* what, int32_t width, int32_t height, Error* error) {
  if (width < 1 || height < 1) {
    return fail(error, Status::kInvalidArgument, "pre-processing: %s size %dx%d is not positive",
                what, width, height);
  }
  if (width > kMaxOutputSide || height > kMaxOutputSide) {
    return fail(error, Status::kLimit, "pre-processing: %s size %dx%d is above the limit of %d",
                what, width, height, kMaxOutputSide);
  }
  return Status::kOk;
}

// Where the first canvas sample lies on a resized side: Python's round((resized - wanted) / 2.0), a
// half to the even neighbour; a side that is too small is padded, the odd sample after it.
int32_t crop_start(int32_t resized, int32_t wanted) {
  const int32_t d = resized - wanted;
  if (d < 0) return -(-d / 2);
  return (d + ((d >> 1) & 1)) >> 1;
}

// The rounded length of the side that does not fill the box: round(side * box / full), a half up,
// at least 1.
int32_t fitted(int32_t side, int32_t box, int32_t full) {
  const int64_t n =
      (2 * static_cast<int64_t>(side) * box + full) / (2 * static_cast<int64_t>(full));
  return n < 1 ? 1 : static_cast<int32_t>(n);
}

}  // namespace

int32_t preprocess_channels(const PreprocessSpec& spec) {
  return spec.color_order == ColorOrder::kGrey ? 1 : 3;
}

bool preprocess_fixed_size(const PreprocessSpec& spec, int32_t* width, int32_t* height) {
  if (spec.crop_width > 0) {
    *width = spec.crop_width;
    *height = spec.crop_height;
    return true;
  }
  if (spec.resize_mode != ResizeMode::kStretch && spec.resize_mode != ResizeMode::kLetterbox)
    return false;
  *width = spec.resize_width;
  *height = spec.resize_height;
  return true;
}

Status check_preprocess(const PreprocessSpec& spec, Error* error) {
  if (spec.resize_mode > ResizeMode::kLetterbox || spec.interpolation > Interpolation::kBicubic ||
      spec.antialias > 1 || spec.color_order > ColorOrder::kGrey) {
    return fail(error, Status::kInvalidArgument,
                "pre-processing: unknown resize mode, interpolation, antialias or colour order");
  }
  if (spec.resize_mode == ResizeMode::kNone) {
    if (spec.resize_width != 0 || spec.resize_height != 0) {
      return fail(error, Status::kInvalidArgument,
                  "pre-processing: a resize size without a resize mode");
    }
  } else {
    EDGECV_TRY(check_size("resize", spec.resize_width, spec.resize_height, error));
  }
  if (spec.resize_mode == ResizeMode::kShorterSide && spec.resize_width != spec.resize_height) {
    return fail(error, Status::kInvalidArgument,
                "pre-processing: two different sizes for the shorter side");
  }
  if (spec.crop_width != 0 || spec.crop_height != 0) {
    EDGECV_TRY(check_size("crop", spec.crop_width, spec.crop_height, error));
    if (spec.resize_mode == ResizeMode::kLetterbox) {
      return fail(error, Status::kInvalidArgument, "pre-processing: a letterbox cannot be cropped");
    }
  }
  const int32_t channels = preprocess_channels(spec);
  for (int32_t c = 0; c < 4; ++c) {
    const bool used = c < channels;
    if (used ? !in_range(spec.mean[c], -65536.0f, 65536.0f) ||
                   !in_range(spec.std[c], 0x1p-20f, 65536.0f)
             : spec.mean[c] != 0.0f || spec.std[c] != 1.0f) {
      return fail(error, Status::kInvalidArgument, "pre-processing: bad mean or std of channel %d",
                  c);
    }
  }
  if (spec.fill[3] != 0)
    return fail(error, Status::kInvalidArgument, "pre-processing: bad fill colour");
  return Status::kOk;
}

Status preprocess_geometry(const PreprocessSpec& spec, int32_t image_width, int32_t image_height,
                           PreprocessGeometry* geometry, Error* error) {
  EDGECV_TRY(check_preprocess(spec, error));
  if (image_width < 1 || image_height < 1) {
    return fail(error, Status::kInvalidArgument, "the picture is empty (%dx%d)", image_width,
                image_height);
  }
  if (image_width > kMaxImageSide || image_height > kMaxImageSide) {
    return fail(error, Status::kLimit, "the picture is %dx%d: the limit of a side is %d",
                image_width, image_height, kMaxImageSide);
  }
  PreprocessGeometry g = {image_width, image_height, 0, 0, 0, 0};
  const bool portrait = image_width <= image_height;
  switch (spec.resize_mode) {
    case ResizeMode::kNone:
      break;
    case ResizeMode::kShorterSide: {
      const int64_t side = spec.resize_width;
      g.resized_width = static_cast<int32_t>(portrait ? side : side * image_width / image_height);
      g.resized_height = static_cast<int32_t>(portrait ? side * image_height / image_width : side);
      break;
    }
    case ResizeMode::kStretch:
      g.resized_width = spec.resize_width;
      g.resized_height = spec.resize_height;
      break;
    case ResizeMode::kLetterbox: {
      const int64_t by_width = static_cast<int64_t>(spec.resize_width) * image_height;
      const int64_t by_height = static_cast<int64_t>(spec.resize_height) * image_width;
      const bool width_fills = by_width <= by_height;
      g.resized_width =
          width_fills ? spec.resize_width : fitted(image_width, spec.resize_height, image_height);
      g.resized_height =
          width_fills ? fitted(image_height, spec.resize_width, image_width) : spec.resize_height;
      break;
    }
  }
  if (spec.crop_width != 0) {
    g.width = spec.crop_width;
    g.height = spec.crop_height;
    g.left = -crop_start(g.resized_width, g.width);
    g.top = -crop_start(g.resized_height, g.height);
  } else if (spec.resize_mode == ResizeMode::kLetterbox) {
    g.width = spec.resize_width;
    g.height = spec.resize_height;
    g.left = (g.width - g.resized_width) / 2;
    g.top = (g.height - g.resized_height) / 2;
  } else {
    g.width = g.resized_width;
    g.height = g.resized_height;
  }
  if (g.width > kMaxOutputSide || g.height > kMaxOutputSide) {
    return fail(error, Status::kLimit,
                "the picture of %dx%d would give %dx%d: the limit of a side is %d", image_width,
                image_height, g.width, g.height, kMaxOutputSide);
  }
  if (spec.antialias != 0 && (image_width > static_cast<int64_t>(kMaxShrink) * g.resized_width ||
                              image_height > static_cast<int64_t>(kMaxShrink) * g.resized_height)) {
    return fail(error, Status::kLimit, "the picture of %dx%d would shrink by more than %d",
                image_width, image_height, kMaxShrink);
  }
  *geometry = g;
  return Status::kOk;
}

}  // namespace edgecv::vision
