// Files, allocators and runs that the tests of this room share.
#ifndef EDGECV_TESTS_CPP_RUNTIME_FIXTURES_H_
#define EDGECV_TESTS_CPP_RUNTIME_FIXTURES_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "base/allocator.h"
#include "runtime/model.h"
#include "runtime/session.h"

namespace edgecv_test {

// tests/data/runtime/<name>.ecv; tests/python/runtime/small_models.py makes them.
std::string model_path(const std::string& name);
std::vector<uint8_t> read_bytes(const std::string& path);

// Counts calls, remembers what is alive, and returns null at call number `fail_at` (from 0; -1:
// never).
class CountingAllocator {
 public:
  CountingAllocator();
  edgecv::Allocator get() const { return allocator_; }
  std::atomic<int64_t> calls{0};
  std::atomic<int64_t> alive{0};
  int64_t fail_at = -1;

 private:
  static void* allocate(void* context, size_t bytes, size_t alignment);
  static void release(void* context, void* pointer);
  edgecv::Allocator allocator_;
};

struct LoadedModel {
  explicit LoadedModel(const std::string& name, int threads = 1, const char* isa = nullptr,
                       bool keep_all = false,
                       const edgecv::Allocator& allocator = edgecv::default_allocator(),
                       edgecv::runtime::ChainMode chains = edgecv::runtime::ChainMode::kAuto);
  ~LoadedModel();
  LoadedModel(const LoadedModel&) = delete;
  LoadedModel& operator=(const LoadedModel&) = delete;
  edgecv::runtime::Model* model = nullptr;
  edgecv::Status status;
  edgecv::Error error;
};

struct OpenSession {
  explicit OpenSession(edgecv::runtime::Model* model);
  ~OpenSession();
  OpenSession(const OpenSession&) = delete;
  OpenSession& operator=(const OpenSession&) = delete;
  edgecv::runtime::Session* operator->() const { return session; }
  edgecv::runtime::Session* session = nullptr;
};

// Fills every input with the generator's bytes for `seed`, runs, and returns the raw bytes of all
// outputs, one after the other; empty when something failed.
std::vector<uint8_t> run_seed(edgecv::runtime::Session* session, uint64_t seed);

}  // namespace edgecv_test

#endif  // EDGECV_TESTS_CPP_RUNTIME_FIXTURES_H_
