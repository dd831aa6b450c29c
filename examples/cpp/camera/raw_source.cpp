#include "raw_source.h"

#include <cerrno>
#include <cstring>

namespace camera {

RawSource::RawSource(const std::string& path, edgecv_pixel_format format, int32_t width,
                     int32_t height)
    : path_(path),
      format_(format),
      width_(width),
      height_(height),
      file_(path == "-" ? stdin : std::fopen(path.c_str(), "rb")),
      bytes_(frame_bytes(format, width, height)) {
  if (file_ == nullptr) error_ = path + ": " + std::strerror(errno);
}

RawSource::~RawSource() {
  if (file_ != nullptr && file_ != stdin) std::fclose(file_);
}

FrameSource::Next RawSource::next(edgecv_frame* frame) {
  if (file_ == nullptr) return Next::kError;
  const size_t got = std::fread(bytes_.data(), 1, bytes_.size(), file_);
  if (std::ferror(file_) != 0) return fail(path_ + ": cannot read it");
  if (got == 0) return Next::kEnd;
  if (got < bytes_.size()) return fail(path_ + ": ends inside a frame: are format and size right?");
  const size_t luma = static_cast<size_t>(width_) * static_cast<size_t>(height_);
  const bool two = format_ == EDGECV_FORMAT_NV12 || format_ == EDGECV_FORMAT_NV21;
  *frame =
      edgecv::frame(format_, bytes_.data(), two ? bytes_.data() + luma : nullptr, width_, height_);
  return Next::kFrame;
}

}  // namespace camera
