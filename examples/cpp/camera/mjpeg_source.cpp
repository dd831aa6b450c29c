#include "mjpeg_source.h"

#include <cerrno>
#include <cstring>

namespace camera {
namespace {

constexpr size_t kBlock = size_t{64} << 10;
constexpr size_t kMostBytes = size_t{64} << 20;  // of one picture

// Markers of JPEG: 0xFF and one of these.
constexpr uint8_t kStart = 0xD8;
constexpr uint8_t kEnd = 0xD9;
constexpr uint8_t kScan = 0xDA;
bool stands_alone(uint8_t marker) { return marker == 0x01 || (marker >= 0xD0 && marker <= 0xD7); }

}  // namespace

MjpegSource::MjpegSource(const std::string& path)
    : path_(path), file_(path == "-" ? stdin : std::fopen(path.c_str(), "rb")) {
  if (file_ == nullptr) error_ = path + ": " + std::strerror(errno);
  if (!JpegDecoder::available()) {
    edgecv_frame none;
    (void)decoder_.decode(nullptr, 0, &none);
    error_ = "JPEG frames: " + decoder_.error();
  }
}

MjpegSource::~MjpegSource() {
  if (file_ != nullptr && file_ != stdin) std::fclose(file_);
}

bool MjpegSource::fill() {
  const size_t held = bytes_.size();
  bytes_.resize(held + kBlock);
  const size_t got = std::fread(bytes_.data() + held, 1, kBlock, file_);
  bytes_.resize(held + got);
  return got != 0;
}

size_t MjpegSource::picture_bytes() const {
  size_t at = 2;  // behind the start marker
  bool in_scan = false;
  while (at + 2 <= bytes_.size()) {
    if (bytes_[at] != 0xFF) {
      if (!in_scan) return at;  // no JPEG: the decoder will say so
      const void* found = std::memchr(&bytes_[at], 0xFF, bytes_.size() - at);
      if (found == nullptr) return 0;
      at = static_cast<size_t>(static_cast<const uint8_t*>(found) - bytes_.data());
      continue;
    }
    const uint8_t marker = bytes_[at + 1];
    if (marker == kEnd) return at + 2;
    if (marker == 0xFF) {  // filling
      ++at;
    } else if ((in_scan && marker == 0x00) || stands_alone(marker)) {
      at += 2;
    } else {
      if (at + 4 > bytes_.size()) return 0;
      at += 2 + (size_t{bytes_[at + 2]} << 8 | bytes_[at + 3]);
      in_scan = marker == kScan;
    }
  }
  return 0;
}

FrameSource::Next MjpegSource::next(edgecv_frame* frame) {
  if (!error_.empty()) return Next::kError;
  bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(used_));
  used_ = 0;
  while (bytes_.size() < 2 && fill()) {
  }
  if (bytes_.empty())
    return std::ferror(file_) != 0 ? fail(path_ + ": cannot read it") : Next::kEnd;
  if (bytes_.size() < 2 || bytes_[0] != 0xFF || bytes_[1] != kStart)
    return fail(path_ + ": this is no JPEG picture");
  while ((used_ = picture_bytes()) == 0) {
    if (bytes_.size() > kMostBytes || !fill()) return fail(path_ + ": ends inside a JPEG picture");
  }
  if (!decoder_.decode(bytes_.data(), used_, frame)) return fail(path_ + ": " + decoder_.error());
  return Next::kFrame;
}

}  // namespace camera
