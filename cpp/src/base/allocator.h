// The one way the core gets memory. Every allocation may fail; the caller turns null into
// kOutOfMemory.
#ifndef EDGECV_BASE_ALLOCATOR_H_
#define EDGECV_BASE_ALLOCATOR_H_

#include <stddef.h>

namespace edgecv {

constexpr size_t kAlignment = 64;  // of every allocation and of every tensor in the arena

struct Allocator {
  void* context;
  void* (*allocate)(void* context, size_t bytes, size_t alignment);  // null when there is none
  void (*release)(void* context, void* pointer);                     // accepts null
};

// posix_memalign and free of the C library.
const Allocator& default_allocator();

}  // namespace edgecv

#endif  // EDGECV_BASE_ALLOCATOR_H_
