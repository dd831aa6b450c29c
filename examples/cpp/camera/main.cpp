// Labels of camera frames: camera MODEL.ecv --v4l2 /dev/video0, or raw frames from a file or a
// pipe.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "mjpeg_source.h"
#include "raw_source.h"
#include "v4l2_source.h"

namespace {

using camera::FrameSource;

const char kUsage[] =
    "camera MODEL.ecv --v4l2 DEVICE [--size WxH] [--jpeg on]       on: prefer JPEG, for full rate\n"
    "camera MODEL.ecv --raw FILE --format F --size WxH [--color C]   FILE '-': standard input\n"
    "camera MODEL.ecv --mjpeg FILE                                 JPEG pictures in a row\n"
    "  --format    rgb, bgr, grey, nv12, nv21, yuyv\n"
    "  --color     bt601 (default), bt601-full, bt709, bt709-full\n"
    "  --region L,T,W,H   look at this part of every frame\n"
    "  --frames N  stop after N frames          --top N  labels a frame (default 1)\n"
    "\n"
    "  ffmpeg -i street.mp4 -f rawvideo -pix_fmt nv12 -s 640x480 - |\n"
    "    camera net.ecv --raw - --format nv12 --size 640x480\n";

struct Options {
  std::string model, device, raw, mjpeg;
  bool prefer_jpeg = false;
  int format = -1;
  int color = -1;
  int width = 640, height = 480;
  int region[4] = {0, 0, 0, 0};
  long frames = -1;
  long top = 1;
};

int find(const char* text, const std::vector<const char*>& names) {
  for (size_t i = 0; i < names.size(); ++i) {
    if (std::strcmp(text, names[i]) == 0) return static_cast<int>(i);
  }
  return -1;
}

bool parse(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name[0] != '-') {
      if (!options->model.empty()) return false;
      options->model = name;
      continue;
    }
    if (++i == argc) return false;
    const char* value = argv[i];
    int* r = options->region;
    if (name == "--v4l2") {
      options->device = value;
    } else if (name == "--raw") {
      options->raw = value;
    } else if (name == "--mjpeg") {
      options->mjpeg = value;
    } else if (name == "--jpeg") {
      const int on = find(value, {"off", "on"});
      if (on < 0) return false;
      options->prefer_jpeg = on == 1;
    } else if (name == "--format") {
      options->format = find(value, {"rgb", "bgr", "grey", "nv12", "nv21", "yuyv"});
      if (options->format < 0) return false;
    } else if (name == "--color") {
      options->color = find(value, {"bt601", "bt601-full", "bt709", "bt709-full"});
      if (options->color < 0) return false;
    } else if (name == "--size") {
      if (std::sscanf(value, "%dx%d", &options->width, &options->height) != 2) return false;
      if (options->width < 1 || options->width > 32768) return false;
      if (options->height < 1 || options->height > 32768) return false;
    } else if (name == "--region") {
      if (std::sscanf(value, "%d,%d,%d,%d", &r[0], &r[1], &r[2], &r[3]) != 4) return false;
    } else if (name == "--frames") {
      options->frames = std::atol(value);
    } else if (name == "--top") {
      options->top = std::atol(value);
    } else {
      return false;
    }
  }
  const int sources = !options->device.empty() + !options->raw.empty() + !options->mjpeg.empty();
  return !options->model.empty() && sources == 1 && (options->raw.empty() || options->format >= 0);
}

int complain(const std::string& what) {
  std::fprintf(stderr, "camera: %s\n", what.c_str());
  return 1;
}

std::vector<std::string> split_lines(const char* text) {
  std::vector<std::string> lines;
  while (text != nullptr && *text != 0) {
    const size_t length = std::strcspn(text, "\n");
    lines.emplace_back(text, length);
    text += text[length] == 0 ? length : length + 1;
  }
  return lines;
}

void print(long number, const std::vector<float>& scores, long top,
           const std::vector<std::string>& labels) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  // Selection of the few best: falling score, then rising class.
  std::printf("frame %ld:", number);
  for (size_t place = 0; place < order.size() && static_cast<long>(place) < top; ++place) {
    size_t best = place;
    for (size_t i = place + 1; i < order.size(); ++i) {
      const float a = scores[order[i]], b = scores[order[best]];
      if (a > b || (a == b && order[i] < order[best])) best = i;
    }
    std::swap(order[place], order[best]);
    const size_t index = order[place];
    std::printf("%s %zu %.4f %s", place == 0 ? "" : ";", index, static_cast<double>(scores[index]),
                index < labels.size() ? labels[index].c_str() : "");
  }
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, &options)) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  edgecv::Result<edgecv::Model> model = edgecv::Model::load(options.model.c_str());
  if (!model) return complain(model.error().text());
  edgecv::Result<edgecv::Session> session = edgecv::Session::create(*model);
  if (!session) return complain(session.error().text());
  const edgecv::Result<edgecv_port_info> output = model->output(0);
  if (!output) return complain(output.error().text());
  std::vector<float> scores(static_cast<size_t>(output->elements));
  const std::vector<std::string> labels = split_lines(model->meta("labels"));

  std::unique_ptr<FrameSource> source;
  if (!options.raw.empty()) {
    source = std::make_unique<camera::RawSource>(options.raw,
                                                 static_cast<edgecv_pixel_format>(options.format),
                                                 options.width, options.height);
  } else if (!options.mjpeg.empty()) {
    source = std::make_unique<camera::MjpegSource>(options.mjpeg);
  } else {
    std::unique_ptr<camera::VideoDevice> device = camera::open_device(options.device);
    if (device == nullptr) return complain(options.device + ": cannot open the camera");
    source = std::make_unique<camera::V4l2Source>(std::move(device), options.width, options.height,
                                                  options.prefer_jpeg);
  }
  for (long number = 0; options.frames < 0 || number < options.frames; ++number) {
    edgecv_frame frame;
    const FrameSource::Next next = source->next(&frame);
    if (next == FrameSource::Next::kEnd) break;
    if (next == FrameSource::Next::kError) return complain(source->error());
    if (options.color >= 0) frame.color = static_cast<edgecv_yuv_color>(options.color);
    frame.roi_left = options.region[0];
    frame.roi_top = options.region[1];
    frame.roi_width = options.region[2];
    frame.roi_height = options.region[3];
    if (edgecv::Error e = session->set_frame(0, frame)) return complain(e.text());
    if (edgecv::Error e = session->run()) return complain(e.text());
    if (edgecv::Error e = session->get_output(0, scores.data(), scores.size()))
      return complain(e.text());
    print(number, scores, options.top, labels);
  }
  return 0;
}
