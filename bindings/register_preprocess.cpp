// Pre-processing of pictures; a spec is the 17 numbers of edgecv.Preprocess.to_spec().
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cmath>
#include <cstdint>

#include "errors.h"
#include "register.h"
#include "spec.h"

namespace py = pybind11;

namespace edgecv_bindings {
namespace {

using Image = py::array_t<uint8_t, py::array::c_style | py::array::forcecast>;

// A whole number of the spec; what does not fit the field is refused like any other wrong number.
template <typename Field>
Field whole(const py::handle& number) {
  const double value = number.cast<double>();
  if (!(value >= -2147483648.0 && value <= 2147483647.0) || value != std::floor(value) ||
      (static_cast<Field>(-1) > 0 && value < 0)) {
    throw py::value_error("a pre-processing record holds a number that does not fit");
  }
  return static_cast<Field>(static_cast<int64_t>(value));
}

}  // namespace

edgecv_preprocess read_spec(const py::sequence& spec) {
  if (py::len(spec) != 17) throw py::value_error("a pre-processing record holds 17 numbers");
  edgecv_preprocess p = {};
  p.size = sizeof(p);
  p.resize_mode = whole<uint32_t>(spec[0]);
  p.interpolation = whole<uint32_t>(spec[1]);
  p.antialias = whole<uint32_t>(spec[2]);
  p.resize_width = whole<int32_t>(spec[3]);
  p.resize_height = whole<int32_t>(spec[4]);
  p.crop_width = whole<int32_t>(spec[5]);
  p.crop_height = whole<int32_t>(spec[6]);
  p.color_order = whole<uint32_t>(spec[7]);
  for (size_t i = 0; i < 3; ++i) {
    p.mean[i] = static_cast<float>(spec[8 + i].cast<double>());
    p.std[i] = static_cast<float>(spec[11 + i].cast<double>());
    const int32_t fill = whole<int32_t>(spec[14 + i]);
    if (fill < 0 || fill > 255) throw py::value_error("a fill colour is 0 to 255");
    p.fill[i] = static_cast<uint8_t>(fill);
  }
  p.std[3] = 1.0f;
  return p;
}

namespace {

template <typename T>
py::array run(const py::sequence& spec, const Image& image, edgecv_pixels kind, float scale,
              int32_t zero_point) {
  const edgecv_preprocess p = read_spec(spec);
  if (image.ndim() != 3 || image.shape(2) != 3)
    throw py::value_error("a picture is [height, width, 3] uint8");
  if (image.shape(0) > INT32_MAX || image.shape(1) > INT32_MAX)
    throw py::value_error("the picture is too large");
  edgecv_image view = {};
  view.size = sizeof(view);
  view.pixels = image.data();
  view.height = static_cast<int32_t>(image.shape(0));
  view.width = static_cast<int32_t>(image.shape(1));
  view.stride = static_cast<size_t>(image.shape(1)) * 3;
  int32_t width, height, channels;
  edgecv_error error;
  check(edgecv_preprocess_size(&p, view.width, view.height, &width, &height, &channels, &error),
        error);
  py::array_t<T> result({static_cast<py::ssize_t>(height), static_cast<py::ssize_t>(width),
                         static_cast<py::ssize_t>(channels)});
  void* data = result.mutable_data();
  const size_t bytes = static_cast<size_t>(result.nbytes());
  edgecv_status status;
  {
    const py::gil_scoped_release unlocked;
    status = edgecv_preprocess_run(&p, &view, kind, scale, zero_point, data, bytes, &error);
  }
  check(status, error);
  return result;
}

void preprocess_check(const py::sequence& spec) {
  const edgecv_preprocess p = read_spec(spec);
  edgecv_error error;
  check(edgecv_preprocess_check(&p, &error), error);
}

py::array preprocess_u8(const py::sequence& spec, const Image& image) {
  return run<uint8_t>(spec, image, EDGECV_PIXELS_U8, 1.0f, 0);
}
py::array preprocess_f32(const py::sequence& spec, const Image& image) {
  return run<float>(spec, image, EDGECV_PIXELS_F32, 1.0f, 0);
}
py::array preprocess_s8(const py::sequence& spec, const Image& image, float scale,
                        int32_t zero_point) {
  return run<int8_t>(spec, image, EDGECV_PIXELS_S8, scale, zero_point);
}

}  // namespace

void register_preprocess(py::module_& module) {
  module.def("preprocess_check", &preprocess_check, py::arg("spec"));
  module.def("preprocess_u8", &preprocess_u8, py::arg("spec"), py::arg("image"));
  module.def("preprocess_f32", &preprocess_f32, py::arg("spec"), py::arg("image"));
  module.def("preprocess_s8", &preprocess_s8, py::arg("spec"), py::arg("image"), py::arg("scale"),
             py::arg("zero_point"));
}

}  // namespace edgecv_bindings
