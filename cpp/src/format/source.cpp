#include "format/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace edgecv::format {
namespace {

// What `data` points to while there are no bytes, so that it is never null.
alignas(kAlignment) constexpr uint8_t kNoBytes[kAlignment] = {0};

Status too_large(Error* error, const char* what, uint64_t size, uint64_t max_bytes) {
  return fail(error, Status::kLimit, "%s: %llu bytes, the limit is %llu", what,
              static_cast<unsigned long long>(size), static_cast<unsigned long long>(max_bytes));
}

}  // namespace

void Source::release() {
  if (owner_ == Owner::kMapping) munmap(const_cast<uint8_t*>(data_), size_);
  if (owner_ == Owner::kAllocator) {
    allocator_->release(allocator_->context, const_cast<uint8_t*>(data_));
  }
  data_ = nullptr;
  size_ = 0;
  owner_ = Owner::kNone;
}

void Source::drop_pages() const {
  if (owner_ == Owner::kMapping) (void)madvise(const_cast<uint8_t*>(data_), size_, MADV_DONTNEED);
}

Status Source::open_path(const char* path, uint64_t max_bytes, Error* error, Access access) {
  release();
  if (path == nullptr || path[0] == '\0') {
    return fail(error, Status::kInvalidArgument, "the path of the model is empty");
  }
  int fd;
  do {
    fd = open(path, O_RDONLY | O_CLOEXEC);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return fail(error, Status::kIo, "cannot open %.400s: %s", path, strerror(errno));
  const Status status = take(fd, max_bytes, path, access, error);
  close(fd);
  return status;
}

Status Source::open_fd(int fd, uint64_t max_bytes, Error* error, Access access) {
  release();
  if (fd < 0) {
    return fail(error, Status::kInvalidArgument, "%d is no file descriptor", fd);
  }
  char what[48];
  snprintf(what, sizeof(what), "file descriptor %d", fd);
  return take(fd, max_bytes, what, access, error);
}

Status Source::take(int fd, uint64_t max_bytes, const char* what, Access access, Error* error) {
  struct stat info;
  if (fstat(fd, &info) != 0) {
    return fail(error, Status::kIo, "cannot read %.400s: %s", what, strerror(errno));
  }
  if (S_ISDIR(info.st_mode)) {
    return fail(error, Status::kIo, "%.400s is a directory: name an .ecv file", what);
  }
  if (!S_ISREG(info.st_mode)) return read_stream(fd, max_bytes, what, error);
  const uint64_t size = static_cast<uint64_t>(info.st_size);
  if (size > max_bytes || size > SIZE_MAX) return too_large(error, what, size, max_bytes);
  if (size == 0) {
    data_ = kNoBytes;
    return Status::kOk;
  }
  if (access == kRead) return read_regular(fd, static_cast<size_t>(size), what, error);
  void* mapping = mmap(nullptr, static_cast<size_t>(size), PROT_READ, MAP_PRIVATE, fd, 0);
  if (mapping == MAP_FAILED) {
    return fail(error, Status::kIo, "cannot map %.400s: %s", what, strerror(errno));
  }
  data_ = static_cast<const uint8_t*>(mapping);
  size_ = static_cast<size_t>(size);
  owner_ = Owner::kMapping;
  return Status::kOk;
}

// Of a file that shrinks meanwhile, what is there.
Status Source::read_regular(int fd, size_t size, const char* what, Error* error) {
  uint8_t* bytes =
      static_cast<uint8_t*>(allocator_->allocate(allocator_->context, size, kAlignment));
  if (bytes == nullptr) {
    return fail(error, Status::kOutOfMemory, "no memory for the %zu bytes of %.400s", size, what);
  }
  data_ = bytes;
  owner_ = Owner::kAllocator;
  while (size_ < size) {
    const ssize_t got = pread(fd, bytes + size_, size - size_, static_cast<off_t>(size_));
    if (got == 0) break;
    if (got < 0) {
      if (errno == EINTR) continue;
      const int cause = errno;
      release();
      return fail(error, Status::kIo, "cannot read %.400s: %s", what, strerror(cause));
    }
    size_ += static_cast<size_t>(got);
  }
  return Status::kOk;
}

Status Source::read_stream(int fd, uint64_t max_bytes, const char* what, Error* error) {
  size_t capacity = 0;
  data_ = kNoBytes;
  for (;;) {
    if (size_ == capacity) {
      const size_t grown = capacity == 0 ? size_t{1} << 16 : capacity * 2;
      uint8_t* bytes =
          grown < capacity
              ? nullptr
              : static_cast<uint8_t*>(allocator_->allocate(allocator_->context, grown, kAlignment));
      if (bytes == nullptr) {
        release();
        return fail(error, Status::kOutOfMemory, "no memory for the %zu bytes of %.400s", grown,
                    what);
      }
      const size_t held = size_;
      if (held != 0) memcpy(bytes, data_, held);
      release();
      data_ = bytes;
      size_ = held;
      capacity = grown;
      owner_ = Owner::kAllocator;
    }
    const ssize_t got = read(fd, const_cast<uint8_t*>(data_) + size_, capacity - size_);
    if (got == 0) return Status::kOk;
    if (got < 0) {
      if (errno == EINTR) continue;
      const int cause = errno;
      release();
      return fail(error, Status::kIo, "cannot read %.400s: %s", what, strerror(cause));
    }
    size_ += static_cast<size_t>(got);
    if (size_ > max_bytes) {
      const uint64_t size = size_;
      release();
      return too_large(error, what, size, max_bytes);
    }
  }
}

Status Source::open_bytes(const void* bytes, size_t size, uint64_t max_bytes, Error* error) {
  release();
  if (bytes == nullptr && size != 0) {
    return fail(error, Status::kInvalidArgument, "the model's bytes are a null pointer");
  }
  if (size > max_bytes) return too_large(error, "the model", size, max_bytes);
  if (size == 0) {
    data_ = kNoBytes;
    return Status::kOk;
  }
  void* copy = allocator_->allocate(allocator_->context, size, kAlignment);
  if (copy == nullptr) {
    return fail(error, Status::kOutOfMemory, "no memory for the model's %zu bytes", size);
  }
  memcpy(copy, bytes, size);
  data_ = static_cast<const uint8_t*>(copy);
  size_ = size;
  owner_ = Owner::kAllocator;
  return Status::kOk;
}

Status Source::borrow_bytes(const void* bytes, size_t size, uint64_t max_bytes, Error* error) {
  if (bytes == nullptr || size == 0 || reinterpret_cast<uintptr_t>(bytes) % kAlignment != 0) {
    return open_bytes(bytes, size, max_bytes, error);
  }
  release();
  if (size > max_bytes) return too_large(error, "the model", size, max_bytes);
  data_ = static_cast<const uint8_t*>(bytes);
  size_ = size;
  return Status::kOk;
}

}  // namespace edgecv::format
