// A pointer and a count.
#ifndef EDGECV_BASE_SPAN_H_
#define EDGECV_BASE_SPAN_H_

#include <stddef.h>

namespace edgecv {

template <typename T>
struct Span {
  T* data = nullptr;
  size_t size = 0;
  T& operator[](size_t i) const { return data[i]; }
  T* begin() const { return data; }
  T* end() const { return data + size; }
  bool empty() const { return size == 0; }
};

}  // namespace edgecv

#endif  // EDGECV_BASE_SPAN_H_
