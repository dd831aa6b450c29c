// class Session: one run at a time. Arrays go in and out without copies but the layout's own.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstring>
#include <vector>

#include "errors.h"
#include "frame.h"
#include "model.h"
#include "register.h"

namespace py = pybind11;

namespace edgecv_bindings {
namespace {

edgecv_dtype array_dtype(const py::array& array) {
  if (py::isinstance<py::array_t<float>>(array)) return EDGECV_DTYPE_F32;
  if (py::isinstance<py::array_t<int8_t>>(array)) return EDGECV_DTYPE_S8;
  if (py::isinstance<py::array_t<int32_t>>(array)) return EDGECV_DTYPE_S32;
  throw py::type_error("an array of float32, int8 or int32 is needed");
}

py::array empty_array(edgecv_dtype dtype, const int32_t* dims, int32_t rank) {
  const std::vector<py::ssize_t> shape(dims, dims + rank);
  if (dtype == EDGECV_DTYPE_F32) return py::array_t<float>(shape);
  if (dtype == EDGECV_DTYPE_S8) return py::array_t<int8_t>(shape);
  return py::array_t<int32_t>(shape);
}

void check_contiguous(const py::array& array) {
  if ((array.flags() & py::array::c_style) == 0)
    throw py::value_error("a C-contiguous array is needed");
}

class Session {
 public:
  Session(const Model& model, bool traced) : model_(model.handle()) {
    edgecv_error error;
    edgecv_status status;
    {
      const py::gil_scoped_release unlocked;
      status = traced ? edgecv_session_create_traced(model_, &handle_, &error)
                      : edgecv_session_create(model_, &handle_, &error);
    }
    check(status, error);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() { edgecv_session_destroy(handle_); }

  void set_input(uint32_t index, const py::array& array, bool raw) {
    check_contiguous(array);
    const edgecv_dtype dtype = array_dtype(array);
    const void* data = array.data();
    const size_t bytes = static_cast<size_t>(array.nbytes());
    edgecv_error error;
    edgecv_status status;
    {
      const py::gil_scoped_release unlocked;
      status = edgecv_session_set_input(handle_, index, data, bytes, dtype,
                                        raw ? EDGECV_LAYOUT_RAW : EDGECV_LAYOUT_API, &error);
    }
    check(status, error);
  }

  void set_image(uint32_t index, uint32_t batch, const py::array_t<uint8_t>& image) {
    check_contiguous(image);
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
    edgecv_error error;
    edgecv_status status;
    {
      const py::gil_scoped_release unlocked;
      status = edgecv_session_set_image(handle_, index, batch, &view, &error);
    }
    check(status, error);
  }

  void set_frame(uint32_t index, uint32_t batch, const py::tuple& given) {
    const FrameView view = read_frame(given);
    edgecv_error error;
    edgecv_status status;
    {
      const py::gil_scoped_release unlocked;
      status = edgecv_session_set_frame(handle_, index, batch, &view.frame, &error);
    }
    check(status, error);
  }

  void run() {
    edgecv_error error;
    edgecv_status status;
    {
      const py::gil_scoped_release unlocked;
      status = edgecv_session_run(handle_, &error);
    }
    check(status, error);
  }

  py::array get_output(uint32_t index, bool raw) const {
    edgecv_port_info info = {};
    info.size = sizeof(info);
    edgecv_error error;
    check(edgecv_model_output(model_, index, &info, &error), error);
    const edgecv_dtype dtype =
        !raw && info.dtype == EDGECV_DTYPE_S8 ? EDGECV_DTYPE_F32 : info.dtype;
    py::array result = empty_array(dtype, raw ? info.stored_dims : info.dims, info.rank);
    void* data = result.mutable_data();
    const size_t bytes = static_cast<size_t>(result.nbytes());
    edgecv_status status;
    {
      const py::gil_scoped_release unlocked;
      status = edgecv_session_get_output(handle_, index, data, bytes, dtype,
                                         raw ? EDGECV_LAYOUT_RAW : EDGECV_LAYOUT_API, &error);
    }
    check(status, error);
    return result;
  }

  // Runs and returns every graph input and the output of every op, in their order, stored layout
  // and dtype. The session must be a traced one when the model has chains.
  py::tuple run_traced() {
    edgecv_model_info model = {};
    model.size = sizeof(model);
    edgecv_error error;
    check(edgecv_model_get_info(model_, &model, &error), error);
    Trace trace = {handle_, {}, EDGECV_STATUS_OK, {}};
    py::list inputs, outputs;
    for (uint32_t i = 0; i < model.input_count; ++i) {
      edgecv_port_info port = {};
      port.size = sizeof(port);
      check(edgecv_model_input(model_, i, &port, &error), error);
      py::array copy = empty_array(port.dtype, port.stored_dims, port.rank);
      void* data = nullptr;
      size_t bytes = 0;
      check(edgecv_session_map_input(handle_, i, &data, &bytes, &error), error);
      std::memcpy(copy.mutable_data(), data, bytes);
      inputs.append(copy);
    }
    for (uint32_t i = 0; i < model.op_count; ++i) {
      edgecv_op_info op = {};
      op.size = sizeof(op);
      check(edgecv_model_op(model_, i, &op, &error), error);
      edgecv_tensor_info tensor = {};
      tensor.size = sizeof(tensor);
      check(edgecv_model_tensor(model_, op.output, &tensor, &error), error);
      py::array values = empty_array(tensor.dtype, tensor.dims, tensor.rank);
      trace.places.push_back(
          {op.output, values.mutable_data(), static_cast<size_t>(tensor.bytes), tensor.dtype});
      outputs.append(values);
    }
    edgecv_status status;
    {
      const py::gil_scoped_release unlocked;
      edgecv_session_set_op_callback(handle_, copy_output, &trace, nullptr);
      status = edgecv_session_run(handle_, &error);
      edgecv_session_set_op_callback(handle_, nullptr, nullptr, nullptr);
    }
    check(status, error);
    check(trace.status, trace.error);
    return py::make_tuple(inputs, outputs);
  }

  void set_timing(bool on) {
    edgecv_error error;
    check(edgecv_session_set_timing(handle_, on ? 1 : 0, &error), error);
  }

  std::vector<uint64_t> step_times() const {
    edgecv_model_info model = {};
    model.size = sizeof(model);
    edgecv_error error;
    check(edgecv_model_get_info(model_, &model, &error), error);
    std::vector<uint64_t> times(model.step_count);
    if (times.empty()) return times;
    check(edgecv_session_step_times(handle_, times.data(), times.size(), &error), error);
    return times;
  }

 private:
  struct Place {
    uint32_t tensor;
    void* data;
    size_t bytes;
    edgecv_dtype dtype;
  };
  struct Trace {
    edgecv_session* session;
    std::vector<Place> places;
    edgecv_status status;
    edgecv_error error;
  };

  static void copy_output(void* context, uint32_t op) {
    Trace* trace = static_cast<Trace*>(context);
    if (trace->status != EDGECV_STATUS_OK) return;
    const Place& place = trace->places[op];
    trace->status = edgecv_session_read_tensor(trace->session, place.tensor, place.data,
                                               place.bytes, place.dtype, &trace->error);
  }

  edgecv_model* model_;  // alive as long as the session is
  edgecv_session* handle_ = nullptr;
};

}  // namespace

void register_session(py::module_& module) {
  py::class_<Session>(module, "Session",
                      "Memory for one run at a time of a model; one thread at a time.")
      .def(py::init<const Model&, bool>(), py::arg("model"), py::arg("traced"),
           py::keep_alive<1, 2>())
      .def("set_input", &Session::set_input, py::arg("index"), py::arg("array"), py::arg("raw"))
      .def("set_image", &Session::set_image, py::arg("index"), py::arg("batch"),
           py::arg("image").noconvert())
      .def("set_frame", &Session::set_frame, py::arg("index"), py::arg("batch"), py::arg("frame"))
      .def("run", &Session::run)
      .def("get_output", &Session::get_output, py::arg("index"), py::arg("raw"))
      .def("run_traced", &Session::run_traced)
      .def("set_timing", &Session::set_timing, py::arg("on"))
      .def("step_times", &Session::step_times);
}

}  // namespace edgecv_bindings
