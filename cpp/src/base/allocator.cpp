#include "base/allocator.h"

#include <stdint.h>
#include <stdlib.h>

namespace edgecv {
namespace {

void* libc_allocate(void*, size_t bytes, size_t alignment) {
  if (bytes > SIZE_MAX - alignment) return nullptr;
  if (alignment < sizeof(void*)) alignment = sizeof(void*);
  void* pointer = nullptr;
  return posix_memalign(&pointer, alignment, bytes == 0 ? 1 : bytes) == 0 ? pointer : nullptr;
}

void libc_release(void*, void* pointer) { free(pointer); }

}  // namespace

const Allocator& default_allocator() {
  static const Allocator allocator = {nullptr, libc_allocate, libc_release};
  return allocator;
}

}  // namespace edgecv
