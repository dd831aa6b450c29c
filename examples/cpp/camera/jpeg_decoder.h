// A JPEG picture as an RGB frame, by libjpeg(-turbo) where the example was built with it.
#ifndef CAMERA_JPEG_DECODER_H_
#define CAMERA_JPEG_DECODER_H_

#include <string>
#include <vector>

#include "frame_source.h"

namespace camera {

class JpegDecoder {
 public:
  static bool available();
  // The frame's pixels are the decoder's and stay valid until the next call. False: error() says
  // why.
  bool decode(const uint8_t* data, size_t bytes, edgecv_frame* frame);
  const std::string& error() const { return error_; }

 private:
  std::vector<uint8_t> pixels_;
  std::string error_;
};

}  // namespace camera

#endif  // CAMERA_JPEG_DECODER_H_
