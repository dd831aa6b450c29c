// Memory whose neighbours are unmapped pages, and which can be made read-only: kernels that reach
// beyond an operand, or write to an input, stop the test.
#ifndef EDGECV_TESTS_CPP_KERNELS_GUARDED_BYTES_H_
#define EDGECV_TESTS_CPP_KERNELS_GUARDED_BYTES_H_

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <utility>

namespace edgecv_test {

class GuardedBytes {
 public:
  enum class Place { kEnd, kBegin };  // which end of the bytes touches an unmapped page

  GuardedBytes() = default;
  // With `alignment`, the first byte is aligned to it and, at kEnd, up to alignment - 1 bytes lie
  // between the last byte and the unmapped page.
  explicit GuardedBytes(size_t bytes, Place place = Place::kEnd, size_t alignment = 1)
      : bytes_(bytes) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t padded = (bytes + alignment - 1) / alignment * alignment;
    inner_ = (padded + page - 1) / page * page;
    mapped_ = inner_ + 2 * page;
    void* base = mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) std::abort();
    base_ = static_cast<uint8_t*>(base);
    inner_base_ = base_ + page;
    protect(PROT_READ | PROT_WRITE);
    data_ = inner_base_ + (place == Place::kEnd ? inner_ - padded : 0);
  }
  ~GuardedBytes() {
    if (base_ != nullptr) munmap(base_, mapped_);
  }
  GuardedBytes(GuardedBytes&& other) noexcept { swap(other); }
  GuardedBytes& operator=(GuardedBytes&& other) noexcept {
    swap(other);
    return *this;
  }

  void make_read_only() { protect(PROT_READ); }
  uint8_t* data() { return data_; }
  const uint8_t* data() const { return data_; }
  size_t size() const { return bytes_; }
  template <typename T>
  T* as() {
    return reinterpret_cast<T*>(data_);
  }
  template <typename T>
  const T* as() const {
    return reinterpret_cast<const T*>(data_);
  }

 private:
  void protect(int mode) {
    if (inner_ != 0 && mprotect(inner_base_, inner_, mode) != 0) std::abort();
  }
  void swap(GuardedBytes& other) {
    std::swap(bytes_, other.bytes_);
    std::swap(inner_, other.inner_);
    std::swap(mapped_, other.mapped_);
    std::swap(base_, other.base_);
    std::swap(inner_base_, other.inner_base_);
    std::swap(data_, other.data_);
  }

  size_t bytes_ = 0;
  size_t inner_ = 0;
  size_t mapped_ = 0;
  uint8_t* base_ = nullptr;
  uint8_t* inner_base_ = nullptr;
  uint8_t* data_ = nullptr;
};

}  // namespace edgecv_test

#endif  // EDGECV_TESTS_CPP_KERNELS_GUARDED_BYTES_H_
