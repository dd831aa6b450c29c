// class Model: loading, and everything that can be asked of a loaded file. Records become plain
// dicts.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <utility>

#include "errors.h"
#include "model.h"
#include "register.h"

namespace py = pybind11;

namespace edgecv_bindings {
namespace {

template <typename Load>
Model load(int threads, const std::optional<std::string>& isa, bool keep_all, int chains,
           const Load& load) {
  edgecv_load_options options = {};
  options.size = sizeof(options);
  options.threads = threads;
  options.isa = isa ? isa->c_str() : nullptr;
  options.keep_all = keep_all ? 1 : 0;
  options.chains = chains;
  edgecv_model* handle = nullptr;
  edgecv_error error;
  edgecv_status status;
  {
    const py::gil_scoped_release unlocked;
    status = load(&options, &handle, &error);
  }
  check(status, error);
  return Model(handle);
}

Model load_path(const py::bytes& path, int threads, const std::optional<std::string>& isa,
                bool keep_all, int chains) {
  const std::string name = path;
  return load(threads, isa, keep_all, chains,
              [&](const edgecv_load_options* options, edgecv_model** model, edgecv_error* e) {
                return edgecv_model_load(name.c_str(), options, model, e);
              });
}

Model load_fd(int fd, int threads, const std::optional<std::string>& isa, bool keep_all,
              int chains) {
  return load(threads, isa, keep_all, chains,
              [&](const edgecv_load_options* options, edgecv_model** model, edgecv_error* e) {
                return edgecv_model_load_fd(fd, options, model, e);
              });
}

// Any contiguous buffer; its bytes are copied.
class Bytes {
 public:
  explicit Bytes(const py::buffer& buffer) {
    if (PyObject_GetBuffer(buffer.ptr(), &view_, PyBUF_SIMPLE) != 0) throw py::error_already_set();
  }
  ~Bytes() { PyBuffer_Release(&view_); }
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  // Never null, so that an empty buffer is a truncated file and not a wrong argument.
  const void* data() const { return view_.len == 0 ? static_cast<const void*>("") : view_.buf; }
  size_t size() const { return static_cast<size_t>(view_.len); }

 private:
  Py_buffer view_;
};

Model load_bytes(const py::buffer& data, int threads, const std::optional<std::string>& isa,
                 bool keep_all, int chains) {
  const Bytes bytes(data);
  return load(threads, isa, keep_all, chains,
              [&](const edgecv_load_options* options, edgecv_model** model, edgecv_error* e) {
                return edgecv_model_load_memory(bytes.data(), bytes.size(), options, model, e);
              });
}

// (status name, text) of a file's bytes: ("ok", "") when the reader accepts them.
py::tuple judge(const py::buffer& data) {
  const Bytes bytes(data);
  edgecv_error error;
  edgecv_status status;
  {
    const py::gil_scoped_release unlocked;
    status = edgecv_check_file(bytes.data(), bytes.size(), &error);
  }
  return py::make_tuple(edgecv_status_name(status), text(error.text));
}

const char* dtype_name(edgecv_dtype dtype) {
  return dtype == EDGECV_DTYPE_F32 ? "f32" : dtype == EDGECV_DTYPE_S8 ? "s8" : "s32";
}

py::tuple dims_tuple(const int32_t* dims, int32_t rank) {
  py::tuple result(static_cast<size_t>(rank));
  for (int32_t i = 0; i < rank; ++i) result[static_cast<size_t>(i)] = dims[i];
  return result;
}

py::dict info(const Model& model) {
  edgecv_model_info info = {};
  info.size = sizeof(info);
  edgecv_error error;
  check(edgecv_model_get_info(model.handle(), &info, &error), error);
  py::dict result;
  result["inputs"] = info.input_count;
  result["outputs"] = info.output_count;
  result["tensors"] = info.tensor_count;
  result["ops"] = info.op_count;
  result["steps"] = info.step_count;
  result["chains"] = info.chain_count;
  result["goldens"] = info.golden_count;
  result["threads"] = info.threads;
  result["keep_all"] = info.keep_all != 0;
  result["isa"] = info.isa;
  result["file_bytes"] = info.file_bytes;
  result["weight_bytes"] = info.weight_bytes;
  result["packed_bytes"] = info.packed_bytes;
  result["arena_bytes"] = info.arena_bytes;
  result["scratch_bytes"] = info.scratch_bytes;
  result["macs"] = info.macs;
  result["version"] = py::make_tuple(info.version_major, info.version_minor);
  return result;
}

py::dict port(const Model& model, bool input, uint32_t index) {
  edgecv_port_info info = {};
  info.size = sizeof(info);
  edgecv_error error;
  check(input ? edgecv_model_input(model.handle(), index, &info, &error)
              : edgecv_model_output(model.handle(), index, &info, &error),
        error);
  py::dict result;
  result["name"] = text(info.name);
  result["tensor"] = info.tensor;
  result["dtype"] = dtype_name(info.dtype);
  result["shape"] = dims_tuple(info.dims, info.rank);
  result["perm"] = dims_tuple(info.perm, info.rank);
  result["stored_shape"] = dims_tuple(info.stored_dims, info.rank);
  result["scale"] = info.scale;
  result["zero_point"] = info.zero_point;
  result["preprocess"] = info.preprocess;
  return result;
}

py::list ports(const Model& model, bool input) {
  const uint32_t count = info(model)[input ? "inputs" : "outputs"].cast<uint32_t>();
  py::list result;
  for (uint32_t i = 0; i < count; ++i) result.append(port(model, input, i));
  return result;
}

py::dict meta(const Model& model) {
  edgecv_model_info info = {};
  info.size = sizeof(info);
  edgecv_error error;
  check(edgecv_model_get_info(model.handle(), &info, &error), error);
  py::dict result;
  for (uint32_t i = 0; i < info.meta_count; ++i) {
    const char* key = nullptr;
    const char* value = nullptr;
    check(edgecv_model_meta_at(model.handle(), i, &key, &value, nullptr, &error), error);
    result[text(key)] = text(value);
  }
  return result;
}

py::dict tensor(const Model& model, uint32_t index) {
  edgecv_tensor_info info = {};
  info.size = sizeof(info);
  edgecv_error error;
  check(edgecv_model_tensor(model.handle(), index, &info, &error), error);
  py::dict result;
  result["name"] = text(info.name);
  result["dtype"] = dtype_name(info.dtype);
  result["constant"] = info.constant != 0;
  result["shape"] = dims_tuple(info.dims, info.rank);
  result["scale"] = info.scale;
  result["zero_point"] = info.zero_point;
  result["bytes"] = info.bytes;
  result["arena_offset"] = info.arena_offset;
  return result;
}

py::dict op(const Model& model, uint32_t index) {
  edgecv_op_info info = {};
  info.size = sizeof(info);
  edgecv_error error;
  check(edgecv_model_op(model.handle(), index, &info, &error), error);
  py::list inputs;
  for (uint32_t i = 0; i < info.input_count; ++i) {
    uint32_t id = 0;
    check(edgecv_model_op_input(model.handle(), index, i, &id, &error), error);
    inputs.append(id == UINT32_MAX ? py::object(py::none()) : py::object(py::int_(id)));
  }
  py::dict result;
  result["name"] = text(info.name);
  result["code"] = info.code;
  result["inputs"] = inputs;
  result["output"] = info.output;
  result["first_step"] = info.first_step;
  result["steps"] = info.step_count;
  result["macs"] = info.macs;
  return result;
}

py::dict step(const Model& model, uint32_t index) {
  edgecv_step_info info = {};
  info.size = sizeof(info);
  edgecv_error error;
  check(edgecv_model_step(model.handle(), index, &info, &error), error);
  py::dict result;
  result["op"] = info.op;
  result["output"] = info.output;
  result["family"] = info.family;
  result["kernel"] = info.kernel;
  result["isa"] = info.isa;
  result["packed_bytes"] = info.packed_bytes;
  result["scratch_bytes"] = info.scratch_bytes;
  result["macs"] = info.macs;
  result["work_items"] = info.work_items;
  result["parallel"] = info.parallel != 0;
  result["chain"] = info.chain < 0 ? py::object(py::none()) : py::object(py::int_(info.chain));
  return result;
}

py::dict chain(const Model& model, uint32_t index) {
  edgecv_chain_info info = {};
  info.size = sizeof(info);
  edgecv_error error;
  check(edgecv_model_chain(model.handle(), index, &info, &error), error);
  py::dict result;
  result["first_step"] = info.first_step;
  result["steps"] = info.step_count;
  result["stripe_rows"] = info.stripe_rows;
  result["stripes"] = info.stripes;
  result["buffer_bytes"] = info.buffer_bytes;
  return result;
}

// The fields as 17 numbers, in the order of edgecv.Preprocess.to_spec().
py::tuple preprocess(const Model& model, uint32_t index) {
  edgecv_preprocess p = {};
  p.size = sizeof(p);
  edgecv_error error;
  check(edgecv_model_preprocess(model.handle(), index, &p, &error), error);
  return py::make_tuple(p.resize_mode, p.interpolation, p.antialias, p.resize_width,
                        p.resize_height, p.crop_width, p.crop_height, p.color_order, p.mean[0],
                        p.mean[1], p.mean[2], p.std[0], p.std[1], p.std[2], p.fill[0], p.fill[1],
                        p.fill[2]);
}

py::dict verify(const Model& model) {
  edgecv_verify_report report = {};
  report.size = sizeof(report);
  edgecv_error error;
  edgecv_status status;
  {
    const py::gil_scoped_release unlocked;
    status = edgecv_model_verify(model.handle(), &report, &error);
  }
  if (status != EDGECV_STATUS_VERIFY_FAILED) check(status, error);
  py::dict result;
  result["goldens"] = report.goldens;
  result["digests"] = report.digests;
  result["failed"] = report.failed;
  result["op"] =
      report.failed == 0 ? py::object(py::none()) : py::object(py::int_(report.failed_op));
  result["name"] =
      report.failed_name == nullptr ? py::object(py::none()) : py::object(text(report.failed_name));
  result["kernel"] = report.failed_kernel == nullptr ? py::object(py::none())
                                                     : py::object(text(report.failed_kernel));
  result["text"] = text(report.text);
  return result;
}

}  // namespace

void register_model(py::module_& module) {
  module.def("judge", &judge, py::arg("data"),
             "(status name, text) of a file's bytes; ('ok', '') when it is good.");
  py::class_<Model>(module, "Model", "A loaded .ecv file and its plan for this machine.")
      .def_static("load_path", &load_path, py::arg("path"), py::arg("threads"), py::arg("isa"),
                  py::arg("keep_all"), py::arg("chains"))
      .def_static("load_fd", &load_fd, py::arg("fd"), py::arg("threads"), py::arg("isa"),
                  py::arg("keep_all"), py::arg("chains"))
      .def_static("load_bytes", &load_bytes, py::arg("data"), py::arg("threads"), py::arg("isa"),
                  py::arg("keep_all"), py::arg("chains"))
      .def("info", &info)
      .def("ports", &ports, py::arg("input"))
      .def("meta", &meta)
      .def("tensor", &tensor, py::arg("index"))
      .def("op", &op, py::arg("index"))
      .def("step", &step, py::arg("index"))
      .def("chain", &chain, py::arg("index"))
      .def("preprocess", &preprocess, py::arg("index"))
      .def("verify", &verify);
}

}  // namespace edgecv_bindings
