// Array<T>: a fixed-capacity-after-reserve, move-only sequence of trivially copyable T on an
// Allocator.
#ifndef EDGECV_BASE_ARRAY_H_
#define EDGECV_BASE_ARRAY_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/allocator.h"

namespace edgecv {

template <typename T>
class Array {
  static_assert(__is_trivially_copyable(T), "Array holds plain data");

 public:
  explicit Array(const Allocator& allocator) : allocator_(&allocator) {}
  ~Array() { clear(); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  Array(Array&& other) noexcept
      : allocator_(other.allocator_),
        data_(other.data_),
        size_(other.size_),
        capacity_(other.capacity_) {
    other.data_ = nullptr;
    other.size_ = other.capacity_ = 0;
  }

  // Makes size() == n; entries past the old size are zero bytes. False when memory ran out (then
  // unchanged).
  [[nodiscard]] bool resize(size_t n) {
    if (!reserve(n)) return false;
    if (n > size_) memset(static_cast<void*>(data_ + size_), 0, (n - size_) * sizeof(T));
    size_ = n;
    return true;
  }
  [[nodiscard]] bool reserve(size_t n) {
    if (n <= capacity_) return true;
    if (n > SIZE_MAX / sizeof(T)) return false;
    const size_t align = alignof(T) > kAlignment ? alignof(T) : kAlignment;
    T* grown = static_cast<T*>(allocator_->allocate(allocator_->context, n * sizeof(T), align));
    if (grown == nullptr) return false;
    if (size_ != 0) memcpy(static_cast<void*>(grown), data_, size_ * sizeof(T));
    allocator_->release(allocator_->context, data_);
    data_ = grown;
    capacity_ = n;
    return true;
  }
  [[nodiscard]] bool push_back(const T& value) {
    if (size_ == capacity_ && !reserve(capacity_ == 0 ? 8 : capacity_ * 2)) return false;
    data_[size_++] = value;
    return true;
  }
  void clear() {
    allocator_->release(allocator_->context, data_);
    data_ = nullptr;
    size_ = capacity_ = 0;
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }

 private:
  const Allocator* allocator_;
  T* data_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace edgecv

#endif  // EDGECV_BASE_ARRAY_H_
