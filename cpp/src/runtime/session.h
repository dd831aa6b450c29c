// One run at a time of a model: the arena, the scratch memory and what is in them.
#ifndef EDGECV_RUNTIME_SESSION_H_
#define EDGECV_RUNTIME_SESSION_H_

#include <stdint.h>

#include "base/array.h"
#include "base/status.h"
#include "runtime/model.h"
#include "runtime/thread_pool.h"
#include "vision/preprocess.h"

namespace edgecv::runtime {

// The PREP record as vision's spec.
vision::PreprocessSpec preprocess_spec(const format::PreprocessRecord& record);

class Session {
 public:
  using OpCallback = void (*)(void* context, uint32_t op);

  // `traced`: every tensor has memory of its own, nothing runs as a chain, and everything can be
  // read. `plan`: another plan of the model's file, which must outlive the session.
  static Status create(Model* model, Session** out, Error* error, bool traced = false,
                       const Plan* plan = nullptr);
  void destroy();

  const Model& model() const { return *model_; }
  const Plan& plan() const { return *plan_; }
  const Layout& layout() const { return *layout_; }

  // Port indices are judged here. `api` chooses the API's layout, otherwise the stored one.
  Status set_input(uint32_t index, const void* data, size_t bytes, format::Dtype dtype, bool api,
                   Error* error);
  Status map_input(uint32_t index, void** data, size_t* bytes, Error* error);
  Status set_frame(uint32_t index, uint32_t batch, const vision::Frame& frame, Error* error);

  // Allocates nothing. kNanInput when a Quantize op met a NaN.
  Status run(Error* error);
  // The steps of one op on what its inputs hold; for verify. The session then counts as never run.
  Status run_op(uint32_t op, Error* error);

  Status get_output(uint32_t index, void* data, size_t bytes, format::Dtype dtype, bool api,
                    Error* error) const;
  Status map_output(uint32_t index, const void** data, size_t* bytes, Error* error) const;
  // In an op callback: the op's inputs and output, unless they lie inside a chain; after a run:
  // every tensor of a traced session or a keep_all plan. Constants always.
  Status read_tensor(uint32_t tensor, void* data, size_t bytes, format::Dtype dtype,
                     Error* error) const;

  // Where an activation lives, for verify; null when nothing uses it or it lies inside a chain.
  uint8_t* activation(uint32_t tensor);
  // Copies the values of a tensor that has memory, without the gaps its pixels may have there.
  void gather(uint32_t tensor, void* data) const;
  void scatter(uint32_t tensor, const void* data);  // the other way
  bool inside_chain(uint32_t tensor) const;

  // Allocates the tables once. The time of a chain is divided among its steps as their kernels'
  // times are, over all threads.
  Status set_timing(bool on, Error* error);
  const Array<uint64_t>& step_times() const { return step_times_; }
  // Called after each op of a run, views included, in order; after a chain for all of its ops.
  void set_op_callback(OpCallback callback, void* context);

 private:
  Session(Model* model, const Plan* plan);
  ~Session();
  Status allocate(bool traced, Error* error);
  const uint8_t* address(uint32_t tensor) const;
  void copy_pixels(uint32_t tensor, const void* from, int64_t from_stride, void* to,
                   int64_t to_stride) const;
  Status run_steps(uint32_t begin, uint32_t end, Error* error);
  Status run_step(const Step& step, ThreadLease* lease, Error* error);
  Status run_chain(const Chain& chain, ThreadLease* lease, Error* error);
  Status found_nan(uint32_t op, Error* error) const;
  void divide_time(const Chain& chain, uint64_t nanoseconds);
  void finish_ops(uint32_t steps_done);
  int run_port(const kernels::Kernel& kernel, const void* problem, int64_t elements, const void* in,
               void* out) const;
  Status find_port(bool input, uint32_t index, const format::PortRecord** record,
                   const PortPlan** port, Error* error) const;

  Model* model_;
  const Plan* plan_;
  const Layout* layout_;  // the plan's or own_layout_
  Layout own_layout_;
  uint8_t* block_ = nullptr;    // arena, then the staging area
  uint8_t* scratch_ = nullptr;  // threads x scratch_bytes
  Array<uint8_t> input_set_;
  Array<uint64_t> step_times_;
  Array<uint64_t> link_times_;  // [thread][kMaxChainLinks], of the chain under way
  bool timing_ = false;
  bool ran_ = false;
  uint32_t next_op_ = 0;  // of the op callback
  uint32_t callback_op_ = format::kAbsent;
  OpCallback op_callback_ = nullptr;
  void* op_context_ = nullptr;
};

}  // namespace edgecv::runtime

#endif  // EDGECV_RUNTIME_SESSION_H_
