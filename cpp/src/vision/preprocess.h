// Picture -> model input: resize, centre crop or letterbox, colour order, mean and std,
// quantization. The one implementation that calibration, evaluation and run share;
// docs/preprocess.md is the contract.
#ifndef EDGECV_VISION_PREPROCESS_H_
#define EDGECV_VISION_PREPROCESS_H_

#include <stddef.h>
#include <stdint.h>

#include "base/allocator.h"
#include "base/status.h"
#include "vision/frame.h"
#include "vision/resize.h"

namespace edgecv::vision {

constexpr int32_t kMaxImageSide = 32768;
constexpr int32_t kMaxOutputSide = 8192;
constexpr size_t kMaxPreprocessScratch = size_t{256} << 20;

enum class ResizeMode : uint32_t { kNone = 0, kShorterSide = 1, kStretch = 2, kLetterbox = 3 };
enum class ColorOrder : uint32_t { kRgb = 0, kBgr = 1, kGrey = 2 };

// Plain data, field for field the PREP record of docs/format.md without its reserved tail.
struct PreprocessSpec {
  ResizeMode resize_mode;
  Interpolation interpolation;
  uint32_t antialias;    // 0 or 1: widen the kernel when the picture shrinks
  int32_t resize_width;  // kNone: 0; kShorterSide: the side, in both
  int32_t resize_height;
  int32_t crop_width;  // 0 and 0: no crop
  int32_t crop_height;
  ColorOrder color_order;
  float mean[4];    // grey levels, in the order the model sees; entries past the channels are 0
  float std[4];     // as mean; entries past the channels are 1
  uint8_t fill[4];  // RGB around a letterboxed or too small picture; the last entry is 0
};
static_assert(sizeof(PreprocessSpec) == 68, "plain data without padding");

// HWC RGB, one byte a channel; row y begins at pixels + y * stride, stride >= 3 * width.
struct ImageView {
  const uint8_t* pixels;
  int32_t width;
  int32_t height;
  size_t stride;
};

// The whole picture as a frame.
Frame frame_of(const ImageView& image);

// Where the picture lands. The canvas is width x height; the resized picture has its top left
// corner at (left, top), which is negative where a crop cuts it off.
struct PreprocessGeometry {
  int32_t resized_width;
  int32_t resized_height;
  int32_t left;
  int32_t top;
  int32_t width;
  int32_t height;
};

enum class OutputKind : uint32_t {
  kPixelsU8 = 0,  // HWC, one byte a channel, in the colour order of the spec
  kF32 = 1,       // HWC, (p - mean) / std
  kS8 = 2,        // HWC, the same quantized with scale and zero_point
};

struct PreprocessOutput {
  OutputKind kind;
  void* data;
  size_t bytes;  // exactly height * width * channels * element size
  float scale;   // kS8 only
  int32_t zero_point;
};

// kInvalidArgument when a field breaks a rule of docs/preprocess.md, kLimit above a limit.
Status check_preprocess(const PreprocessSpec& spec, Error* error);

// 3, or 1 for grey.
int32_t preprocess_channels(const PreprocessSpec& spec);

// True when every picture gives the same output size, which a model input needs.
bool preprocess_fixed_size(const PreprocessSpec& spec, int32_t* width, int32_t* height);

Status preprocess_geometry(const PreprocessSpec& spec, int32_t image_width, int32_t image_height,
                           PreprocessGeometry* geometry, Error* error);

// How much scratch preprocess_run needs for this frame, whose pixels are not looked at; kLimit
// above kMaxPreprocessScratch.
Status preprocess_scratch_bytes(const PreprocessSpec& spec, const Frame& frame, size_t* bytes,
                                Error* error);

// The frame's region goes through the steps of docs/preprocess.md in one pass over its rows: no
// picture in between. Allocates nothing; `scratch` may have any alignment. Checks the spec, the
// frame and the sizes.
Status preprocess_run(const PreprocessSpec& spec, const Frame& frame,
                      const PreprocessOutput& output, void* scratch, size_t scratch_bytes,
                      Error* error);

// The same with scratch from `allocator`.
Status preprocess_frame(const PreprocessSpec& spec, const Frame& frame,
                        const PreprocessOutput& output, const Allocator& allocator, Error* error);

// The three for a picture.
Status preprocess_scratch_bytes(const PreprocessSpec& spec, int32_t image_width,
                                int32_t image_height, size_t* bytes, Error* error);
Status preprocess_run(const PreprocessSpec& spec, const ImageView& image,
                      const PreprocessOutput& output, void* scratch, size_t scratch_bytes,
                      Error* error);
Status preprocess_image(const PreprocessSpec& spec, const ImageView& image,
                        const PreprocessOutput& output, const Allocator& allocator, Error* error);

}  // namespace edgecv::vision

#endif  // EDGECV_VISION_PREPROCESS_H_
