// Raw frames one after the other, from a file or a stream ("-": the standard input).
#ifndef CAMERA_RAW_SOURCE_H_
#define CAMERA_RAW_SOURCE_H_

#include <cstdio>
#include <vector>

#include "frame_source.h"

namespace camera {

class RawSource : public FrameSource {
 public:
  RawSource(const std::string& path, edgecv_pixel_format format, int32_t width, int32_t height);
  ~RawSource() override;
  Next next(edgecv_frame* frame) override;

 private:
  std::string path_;
  edgecv_pixel_format format_;
  int32_t width_;
  int32_t height_;
  std::FILE* file_;
  std::vector<uint8_t> bytes_;
};

}  // namespace camera

#endif  // CAMERA_RAW_SOURCE_H_
