// A loaded file: its bytes, its records, its plan. Counted: sessions hold it beyond the caller's
// release.
#ifndef EDGECV_RUNTIME_MODEL_H_
#define EDGECV_RUNTIME_MODEL_H_

#include <atomic>

#include "base/allocator.h"
#include "base/status.h"
#include "format/reader.h"
#include "format/source.h"
#include "runtime/plan.h"

namespace edgecv::runtime {

// Where a model comes from: exactly one of path, bytes or fd (>= 0).
struct ModelSource {
  const char* path = nullptr;
  int fd = -1;
  const void* bytes = nullptr;
  size_t size = 0;
  bool borrow = false;     // of bytes: keep the caller's memory when it is aligned
  bool read_file = false;  // of a path or fd: into memory instead of mapping it
};

struct LogSink {
  void (*write)(void* context, int level,
                const char* text) = nullptr;  // 0 debug, 1 info, 2 warning
  void* context = nullptr;
};

class Model {
 public:
  // *out gets one reference on kOk and is left alone otherwise.
  static Status load(const ModelSource& source, const PlanOptions& options,
                     const format::Limits& limits, const Allocator& allocator, const LogSink& log,
                     Model** out, Error* error);
  void retain() { references_.fetch_add(1, std::memory_order_relaxed); }
  void release();  // the last one destroys

  const Allocator& allocator() const { return allocator_; }
  const format::ParsedModel& file() const { return file_; }
  const Plan& plan() const { return plan_; }
  size_t file_bytes() const { return source_.size(); }
  const format::Limits& limits() const { return limits_; }
  // Reads the file again into *out, which must be fresh: with the constants that were dropped once
  // they were packed. *out must not outlive the model.
  Status read_again(format::ParsedModel* out, Error* error) const {
    return format::read_model(source_.data(), source_.size(), limits_, out, error);
  }

 private:
  Model(const Allocator& allocator)
      : allocator_(allocator), source_(allocator_), file_(allocator_), plan_(allocator_) {}
  ~Model() = default;
  Status open(const ModelSource& source, const PlanOptions& options, const format::Limits& limits,
              Error* error);

  Status drop_packed_constants(Error* error);

  const Allocator allocator_;  // the arrays below point at it
  format::Source source_;
  format::ParsedModel file_;
  Plan plan_;
  format::Limits limits_;
  std::atomic<int> references_{1};
};

}  // namespace edgecv::runtime

#endif  // EDGECV_RUNTIME_MODEL_H_
