// The C++ API of edgecv: edgecv.h with handles that destroy themselves. Header-only, C++17; it
// neither throws nor allocates, so it serves programs built with -fno-exceptions and -fno-rtti as
// well as others.
//
//   edgecv::Result<edgecv::Model> model = edgecv::Model::load("model.ecv");
//   if (!model) return complain(model.error().text());
//   edgecv::Result<edgecv::Session> session = edgecv::Session::create(*model);
//   if (!session) ...
//   if (edgecv::Error e = session->set_image(0, edgecv::image(pixels, width, height))) ...
//   if (edgecv::Error e = session->run()) ...
//   if (edgecv::Error e = session->get_output(0, scores, count)) ...
//
// What can fail returns an Error, true when it holds one, or a Result, true when it holds a value.
// Both are
// [[nodiscard]]. The rules on threads, lifetimes and layouts are those of edgecv.h; every class
// gives its C handle by get(), so that the C functions without a counterpart here stay within
// reach.
#ifndef EDGECV_EDGECV_HPP_
#define EDGECV_EDGECV_HPP_

#include <edgecv/edgecv.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

namespace edgecv {
// The core's own names live in namespace edgecv, too: an inline namespace keeps the two apart in
// the linker.
inline namespace api {

// A status and one line of text. `if (Error e = ...)` is taken on failure.
class [[nodiscard]] Error {
 public:
  Error() { error_.status = EDGECV_STATUS_OK, error_.text[0] = 0; }
  explicit operator bool() const { return error_.status != EDGECV_STATUS_OK; }
  edgecv_status status() const { return error_.status; }
  const char* name() const { return edgecv_status_name(error_.status); }  // "io", "truncated", ...
  const char* text() const { return error_.text; }
  edgecv_error* get() { return &error_; }

 private:
  edgecv_error error_;
};

// A value, or the error that there is none for. The value may be taken only where the Result is
// true.
template <typename T>
class [[nodiscard]] Result {
 public:
  explicit operator bool() const { return !error_; }
  const Error& error() const { return error_; }
  T& operator*() & { return value_; }
  T&& operator*() && { return std::move(value_); }
  const T& operator*() const& { return value_; }
  T* operator->() { return &value_; }
  const T* operator->() const { return &value_; }

 private:
  friend class Model;
  friend class Session;
  T value_{};
  Error error_;
};

// Memory of a session: valid as long as the function that gave it says.
template <typename T>
struct Buffer {
  T* data = nullptr;
  std::size_t size = 0;  // elements
  T* begin() const { return data; }
  T* end() const { return data + size; }
  T& operator[](std::size_t i) const { return data[i]; }
};

// edgecv_load_options with all defaults.
struct LoadOptions : edgecv_load_options {
  LoadOptions() : edgecv_load_options{} { size = sizeof(edgecv_load_options); }
};

// HWC RGB, one byte a channel; stride 0: rows follow each other without a gap.
inline edgecv_image image(const std::uint8_t* pixels, std::int32_t width, std::int32_t height,
                          std::size_t stride = 0) {
  return {sizeof(edgecv_image), pixels, width, height,
          stride != 0 ? stride : 3 * static_cast<std::size_t>(width < 0 ? 0 : width)};
}

// A camera frame whose rows have no gaps; set strides, colour and region in the struct where they
// differ. chroma: plane 1 of NV12 and NV21.
inline edgecv_frame frame(edgecv_pixel_format format, const std::uint8_t* pixels,
                          const std::uint8_t* chroma, std::int32_t width, std::int32_t height) {
  edgecv_frame frame{};
  frame.size = sizeof(frame);
  frame.format = format;
  frame.width = width;
  frame.height = height;
  frame.planes[0] = pixels;
  frame.planes[1] = chroma;
  return frame;
}

namespace detail {

inline constexpr edgecv_dtype dtype(const float*) { return EDGECV_DTYPE_F32; }
inline constexpr edgecv_dtype dtype(const std::int8_t*) { return EDGECV_DTYPE_S8; }
inline constexpr edgecv_dtype dtype(const std::int32_t*) { return EDGECV_DTYPE_S32; }

}  // namespace detail

// A loaded file. Any number of threads may use it, and any number of sessions stand on it. It may
// be destroyed before them.
class Model {
 public:
  Model() = default;
  Model(Model&& other) noexcept : handle_(other.release()) {}
  Model& operator=(Model&& other) noexcept {
    if (this != &other) {
      edgecv_model_destroy(handle_);
      handle_ = other.release();
    }
    return *this;
  }
  ~Model() { edgecv_model_destroy(handle_); }

  static Result<Model> load(const char* path, const LoadOptions& options = {}) {
    Result<Model> result;
    edgecv_model_load(path, &options, &result.value_.handle_, result.error_.get());
    return result;
  }
  static Result<Model> load_fd(int fd, const LoadOptions& options = {}) {
    Result<Model> result;
    edgecv_model_load_fd(fd, &options, &result.value_.handle_, result.error_.get());
    return result;
  }
  static Result<Model> load_memory(const void* data, std::size_t bytes,
                                   const LoadOptions& options = {}) {
    Result<Model> result;
    edgecv_model_load_memory(data, bytes, &options, &result.value_.handle_, result.error_.get());
    return result;
  }

  Result<edgecv_model_info> info() const {
    return look<edgecv_model_info>(
        [&](edgecv_model_info* to, edgecv_error* e) { edgecv_model_get_info(handle_, to, e); });
  }
  Result<edgecv_port_info> input(std::uint32_t index) const {
    return look<edgecv_port_info>(
        [&](edgecv_port_info* to, edgecv_error* e) { edgecv_model_input(handle_, index, to, e); });
  }
  Result<edgecv_port_info> output(std::uint32_t index) const {
    return look<edgecv_port_info>(
        [&](edgecv_port_info* to, edgecv_error* e) { edgecv_model_output(handle_, index, to, e); });
  }
  Result<edgecv_step_info> step(std::uint32_t index) const {
    return look<edgecv_step_info>(
        [&](edgecv_step_info* to, edgecv_error* e) { edgecv_model_step(handle_, index, to, e); });
  }
  Result<edgecv_preprocess> preprocess(std::uint32_t index) const {
    return look<edgecv_preprocess>([&](edgecv_preprocess* to, edgecv_error* e) {
      edgecv_model_preprocess(handle_, index, to, e);
    });
  }
  // The value of a META key ("labels": class names, one a line), or NULL.
  const char* meta(const char* key) const { return edgecv_model_meta(handle_, key, nullptr); }

  // Compares the digests stored in the file with what this machine computes.
  Error verify() {
    Error error;
    edgecv_model_verify(handle_, nullptr, error.get());
    return error;
  }

  edgecv_model* get() const { return handle_; }
  edgecv_model* release() { return std::exchange(handle_, nullptr); }  // the caller destroys it

 private:
  template <typename Info, typename Fill>
  static Result<Info> look(const Fill& fill) {
    Result<Info> result;
    result.value_.size = sizeof(Info);
    fill(&result.value_, result.error_.get());
    return result;
  }

  edgecv_model* handle_ = nullptr;
};

// One run at a time of a model, on one thread at a time. T below: float, std::int8_t or
// std::int32_t; a quantized port takes and gives float besides what it stores.
class Session {
 public:
  Session() = default;
  Session(Session&& other) noexcept : handle_(other.release()) {}
  Session& operator=(Session&& other) noexcept {
    if (this != &other) {
      edgecv_session_destroy(handle_);
      handle_ = other.release();
    }
    return *this;
  }
  ~Session() { edgecv_session_destroy(handle_); }

  static Result<Session> create(const Model& model) {
    Result<Session> result;
    edgecv_session_create(model.get(), &result.value_.handle_, result.error_.get());
    return result;
  }

  template <typename T>
  Error set_input(std::uint32_t index, const T* data, std::size_t count,
                  edgecv_layout layout = EDGECV_LAYOUT_API) {
    Error error;
    edgecv_session_set_input(handle_, index, data, count * sizeof(T), detail::dtype(data), layout,
                             error.get());
    return error;
  }
  // Through the pre-processing stored in the file.
  Error set_image(std::uint32_t index, const edgecv_image& picture, std::uint32_t batch = 0) {
    Error error;
    edgecv_session_set_image(handle_, index, batch, &picture, error.get());
    return error;
  }
  Error set_frame(std::uint32_t index, const edgecv_frame& camera, std::uint32_t batch = 0) {
    Error error;
    edgecv_session_set_frame(handle_, index, batch, &camera, error.get());
    return error;
  }
  Error run() {
    Error error;
    edgecv_session_run(handle_, error.get());
    return error;
  }
  template <typename T>
  Error get_output(std::uint32_t index, T* data, std::size_t count,
                   edgecv_layout layout = EDGECV_LAYOUT_API) const {
    Error error;
    edgecv_session_get_output(handle_, index, data, count * sizeof(T), detail::dtype(data), layout,
                              error.get());
    return error;
  }

  // Without a copy: the port's own memory, in the stored layout (edgecv_port_info::stored_dims).
  // T has to be the stored type: anything else is EDGECV_STATUS_INVALID_ARGUMENT. An input is to
  // be written whole before each run; an output is valid until an input is filled again.
  template <typename T>
  Result<Buffer<T>> map_input(std::uint32_t index) {
    Result<Buffer<T>> result;
    edgecv_port_info port{};
    port.size = sizeof(port);
    void* data = nullptr;
    std::size_t bytes = 0;
    edgecv_error* error = result.error_.get();
    if (edgecv_model_input(edgecv_session_model(handle_), index, &port, error) ==
            EDGECV_STATUS_OK &&
        stores<T>(port, error)) {
      edgecv_session_map_input(handle_, index, &data, &bytes, error);
    }
    result.value_ = {static_cast<T*>(data), bytes / sizeof(T)};
    return result;
  }
  template <typename T>
  Result<Buffer<const T>> map_output(std::uint32_t index) const {
    Result<Buffer<const T>> result;
    edgecv_port_info port{};
    port.size = sizeof(port);
    const void* data = nullptr;
    std::size_t bytes = 0;
    edgecv_error* error = result.error_.get();
    if (edgecv_model_output(edgecv_session_model(handle_), index, &port, error) ==
            EDGECV_STATUS_OK &&
        stores<T>(port, error)) {
      edgecv_session_map_output(handle_, index, &data, &bytes, error);
    }
    result.value_ = {static_cast<const T*>(data), bytes / sizeof(T)};
    return result;
  }

  edgecv_session* get() const { return handle_; }
  edgecv_session* release() { return std::exchange(handle_, nullptr); }  // the caller destroys it

 private:
  template <typename T>
  static bool stores(const edgecv_port_info& port, edgecv_error* error) {
    if (port.dtype == detail::dtype(static_cast<const T*>(nullptr))) return true;
    error->status = EDGECV_STATUS_INVALID_ARGUMENT;
    std::strcpy(error->text, "the port stores another type than the buffer asked for");
    return false;
  }

  edgecv_session* handle_ = nullptr;
};

}  // namespace api
}  // namespace edgecv

#endif  // EDGECV_EDGECV_HPP_
