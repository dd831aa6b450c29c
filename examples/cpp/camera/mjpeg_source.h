// JPEG pictures one after the other, from a file or a stream ("-": the standard input).
#ifndef CAMERA_MJPEG_SOURCE_H_
#define CAMERA_MJPEG_SOURCE_H_

#include <cstdio>
#include <vector>

#include "frame_source.h"
#include "jpeg_decoder.h"

namespace camera {

class MjpegSource : public FrameSource {
 public:
  explicit MjpegSource(const std::string& path);
  ~MjpegSource() override;
  Next next(edgecv_frame* frame) override;

 private:
  bool fill();  // false: nothing more comes
  // How many of the bytes, which begin with a picture, belong to it; 0: its end has not come yet.
  size_t picture_bytes() const;

  std::string path_;
  std::FILE* file_;
  std::vector<uint8_t> bytes_;  // read and not yet used
  size_t used_ = 0;             // of them, by the frame that the caller looks at
  JpegDecoder decoder_;
};

}  // namespace camera

#endif  // CAMERA_MJPEG_SOURCE_H_
