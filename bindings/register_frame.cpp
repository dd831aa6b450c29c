// Camera frames: to RGB and through pre-processing.
#include <cstdint>
#include <string>

#include "errors.h"
#include "frame.h"
#include "register.h"
#include "spec.h"

namespace py = pybind11;

namespace edgecv_bindings {
namespace {

// Rows and bytes a row that a plane of the format has; 0 rows: there is no such plane.
struct PlaneSize {
  int64_t rows;
  int64_t bytes;
};

PlaneSize plane_size(const edgecv_frame& frame, int plane) {
  const int64_t width = frame.width;
  const int64_t height = frame.height;
  switch (frame.format) {
    case EDGECV_FORMAT_RGB:
    case EDGECV_FORMAT_BGR:
      return plane == 0 ? PlaneSize{height, 3 * width} : PlaneSize{0, 0};
    case EDGECV_FORMAT_GREY:
      return plane == 0 ? PlaneSize{height, width} : PlaneSize{0, 0};
    case EDGECV_FORMAT_NV12:
    case EDGECV_FORMAT_NV21:
      return plane == 0 ? PlaneSize{height, width}
                        : PlaneSize{(height + 1) / 2, (width + 1) / 2 * 2};
    case EDGECV_FORMAT_YUYV:
      return plane == 0 ? PlaneSize{height, (width + 1) / 2 * 4} : PlaneSize{0, 0};
    case EDGECV_FORMAT_INT_:
      break;
  }
  throw py::value_error("unknown pixel format");
}

py::array frame_rgb(const py::tuple& given) {
  const FrameView view = read_frame(given);
  py::array_t<uint8_t> result({static_cast<py::ssize_t>(view.frame.roi_height),
                               static_cast<py::ssize_t>(view.frame.roi_width),
                               static_cast<py::ssize_t>(3)});
  uint8_t* data = result.mutable_data();
  const size_t bytes = static_cast<size_t>(result.nbytes());
  edgecv_error error;
  edgecv_status status;
  {
    const py::gil_scoped_release unlocked;
    status = edgecv_frame_to_rgb(&view.frame, data, bytes, &error);
  }
  check(status, error);
  return result;
}

template <typename T>
py::array run(const py::sequence& spec, const py::tuple& given, edgecv_pixels kind, float scale,
              int32_t zero_point) {
  const edgecv_preprocess p = read_spec(spec);
  const FrameView view = read_frame(given);
  int32_t width, height, channels;
  edgecv_error error;
  check(edgecv_preprocess_size(&p, view.frame.roi_width, view.frame.roi_height, &width, &height,
                               &channels, &error),
        error);
  py::array_t<T> result({static_cast<py::ssize_t>(height), static_cast<py::ssize_t>(width),
                         static_cast<py::ssize_t>(channels)});
  void* data = result.mutable_data();
  const size_t bytes = static_cast<size_t>(result.nbytes());
  edgecv_status status;
  {
    const py::gil_scoped_release unlocked;
    status = edgecv_preprocess_frame(&p, &view.frame, kind, scale, zero_point, data, bytes, &error);
  }
  check(status, error);
  return result;
}

py::array frame_u8(const py::sequence& spec, const py::tuple& frame) {
  return run<uint8_t>(spec, frame, EDGECV_PIXELS_U8, 1.0f, 0);
}
py::array frame_f32(const py::sequence& spec, const py::tuple& frame) {
  return run<float>(spec, frame, EDGECV_PIXELS_F32, 1.0f, 0);
}
py::array frame_s8(const py::sequence& spec, const py::tuple& frame, float scale,
                   int32_t zero_point) {
  return run<int8_t>(spec, frame, EDGECV_PIXELS_S8, scale, zero_point);
}

}  // namespace

FrameView read_frame(const py::tuple& given) {
  if (py::len(given) != 9) throw py::value_error("a frame is nine values");
  FrameView view = {};
  edgecv_frame& frame = view.frame;
  frame.size = sizeof(frame);
  frame.format = static_cast<edgecv_pixel_format>(given[0].cast<int32_t>());
  frame.color = static_cast<edgecv_yuv_color>(given[1].cast<int32_t>());
  frame.width = given[2].cast<int32_t>();
  frame.height = given[3].cast<int32_t>();
  frame.roi_left = given[4].cast<int32_t>();
  frame.roi_top = given[5].cast<int32_t>();
  frame.roi_width = given[6].cast<int32_t>();
  frame.roi_height = given[7].cast<int32_t>();
  if (frame.width < 1 || frame.height < 1 || frame.roi_width < 1 || frame.roi_height < 1)
    throw py::value_error("the sides of a frame and of its region are at least 1");
  const py::sequence planes = given[8];
  for (int i = 0; i < 2; ++i) {
    const PlaneSize want = plane_size(frame, i);
    if (want.rows == 0) continue;
    if (static_cast<size_t>(i) >= py::len(planes))
      throw py::value_error("the frame lacks plane " + std::to_string(i));
    py::array plane = py::reinterpret_borrow<py::object>(planes[static_cast<size_t>(i)]);
    if (!py::isinstance<py::array_t<uint8_t>>(plane) || plane.ndim() != 2)
      throw py::value_error("a plane is a uint8 array [rows, bytes]");
    if (plane.shape(0) < want.rows || plane.shape(1) < want.bytes) {
      throw py::value_error("plane " + std::to_string(i) + " needs " + std::to_string(want.rows) +
                            " rows of " + std::to_string(want.bytes) + " bytes, it has " +
                            std::to_string(plane.shape(0)) + " of " +
                            std::to_string(plane.shape(1)));
    }
    if (plane.shape(1) > 1 && plane.strides(1) != 1)
      throw py::value_error("the bytes of a plane's row must follow each other");
    // One row has no next one, whatever its stride says.
    if (plane.shape(0) > 1 && plane.strides(0) < want.bytes)
      throw py::value_error("the rows of a plane must not overlap");
    frame.planes[i] = static_cast<const uint8_t*>(plane.data());
    frame.strides[i] = plane.shape(0) > 1 ? static_cast<size_t>(plane.strides(0))
                                          : static_cast<size_t>(want.bytes);
    view.planes[i] = plane;
  }
  return view;
}

void register_frame(py::module_& module) {
  module.def("frame_rgb", &frame_rgb, py::arg("frame"));
  module.def("frame_u8", &frame_u8, py::arg("spec"), py::arg("frame"));
  module.def("frame_f32", &frame_f32, py::arg("spec"), py::arg("frame"));
  module.def("frame_s8", &frame_s8, py::arg("spec"), py::arg("frame"), py::arg("scale"),
             py::arg("zero_point"));
}

}  // namespace edgecv_bindings
