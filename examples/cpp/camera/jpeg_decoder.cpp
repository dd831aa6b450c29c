#include "jpeg_decoder.h"

#ifdef CAMERA_HAVE_JPEG

#include <csetjmp>
#include <cstdio>
// Behind <cstdio>, which libjpeg's header needs.
#include <jerror.h>
#include <jpeglib.h>

namespace camera {
namespace {

constexpr size_t kMostPixels = size_t{64} << 20;

// libjpeg reports an error by a function that must not return.
struct Failure {
  jpeg_error_mgr manager;  // first: libjpeg's pointer to it is one to this
  std::jmp_buf jump;
  char text[JMSG_LENGTH_MAX];
};

[[noreturn]] void leave(j_common_ptr info) {
  Failure* failure = reinterpret_cast<Failure*>(info->err);
  failure->manager.format_message(info, failure->text);
  std::longjmp(failure->jump, 1);
}

// Damage is no error to libjpeg, which fills in grey and warns. Stray bytes between segments harm
// nothing, and some cameras send them.
void count_damage(j_common_ptr info, int level) {
  if (level < 0 && info->err->msg_code != JWRN_EXTRANEOUS_DATA) ++info->err->num_warnings;
}

// Nothing with a destructor lives here: an error jumps out. `rows` is resized by the caller between
// the two halves.
bool read_header(jpeg_decompress_struct* info, Failure* failure, const uint8_t* data,
                 size_t bytes) {
  if (setjmp(failure->jump) != 0) return false;
  jpeg_create_decompress(info);
  jpeg_mem_src(info, const_cast<unsigned char*>(data), static_cast<unsigned long>(bytes));
  jpeg_read_header(info, TRUE);
  info->out_color_space = JCS_RGB;
  jpeg_calc_output_dimensions(info);
  return true;
}

bool read_rows(jpeg_decompress_struct* info, Failure* failure, uint8_t* pixels) {
  if (setjmp(failure->jump) != 0) return false;
  jpeg_start_decompress(info);
  const size_t stride = size_t{3} * info->output_width;
  while (info->output_scanline < info->output_height) {
    JSAMPROW row = pixels + info->output_scanline * stride;
    jpeg_read_scanlines(info, &row, 1);
  }
  jpeg_finish_decompress(info);
  return true;
}

}  // namespace

bool JpegDecoder::available() { return true; }

bool JpegDecoder::decode(const uint8_t* data, size_t bytes, edgecv_frame* frame) {
  jpeg_decompress_struct info = {};
  Failure failure = {};
  info.err = jpeg_std_error(&failure.manager);
  failure.manager.error_exit = leave;
  failure.manager.emit_message = count_damage;
  bool good = read_header(&info, &failure, data, bytes);
  if (good && size_t{info.output_width} * info.output_height > kMostPixels) {
    std::snprintf(failure.text, sizeof(failure.text), "%u x %u pixels are too many",
                  info.output_width, info.output_height);
    good = false;
  }
  if (good) {
    pixels_.resize(size_t{3} * info.output_width * info.output_height);
    good = read_rows(&info, &failure, pixels_.data());
  }
  if (good && failure.manager.num_warnings != 0) {
    std::snprintf(failure.text, sizeof(failure.text), "the JPEG data is damaged");
    good = false;
  }
  const int32_t width = static_cast<int32_t>(info.output_width);
  const int32_t height = static_cast<int32_t>(info.output_height);
  jpeg_destroy_decompress(&info);
  if (good) {
    *frame = edgecv::frame(EDGECV_FORMAT_RGB, pixels_.data(), nullptr, width, height);
  } else {
    error_ = failure.text;
  }
  return good;
}

}  // namespace camera

#else

namespace camera {

bool JpegDecoder::available() { return false; }

bool JpegDecoder::decode(const uint8_t*, size_t, edgecv_frame*) {
  error_ = "built without libjpeg: install its development package and configure again";
  return false;
}

}  // namespace camera

#endif
