// Where the bytes of a model come from: a path, a file descriptor or memory, as one 64-byte aligned
// block.
#ifndef EDGECV_FORMAT_SOURCE_H_
#define EDGECV_FORMAT_SOURCE_H_

#include <stddef.h>
#include <stdint.h>

#include "base/allocator.h"
#include "base/status.h"

namespace edgecv::format {

class Source {
 public:
  explicit Source(const Allocator& allocator) : allocator_(&allocator) {}
  ~Source() { release(); }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  enum Access { kMap, kRead };

  // Each replaces what was there. Files above `max_bytes` are kLimit; what the system refuses is
  // kIo. Regular files are mapped read-only (private) or, with kRead, read; pipes and the like are
  // read to their end into memory.
  Status open_path(const char* path, uint64_t max_bytes, Error* error, Access access = kMap);
  // Takes no ownership: the caller may close `fd` afterwards. A regular file is taken from its
  // beginning, whatever the descriptor's offset; a pipe from where it is.
  Status open_fd(int fd, uint64_t max_bytes, Error* error, Access access = kMap);
  // Copies.
  Status open_bytes(const void* bytes, size_t size, uint64_t max_bytes, Error* error);
  // Takes the bytes as they are when they are 64-byte aligned, otherwise copies. The caller keeps
  // them alive and unchanged until release().
  Status borrow_bytes(const void* bytes, size_t size, uint64_t max_bytes, Error* error);
  void release();

  // Gives the pages of a mapping back to the system: they are read from the file again when
  // touched. Bytes in memory stay.
  void drop_pages() const;

  const uint8_t* data() const { return data_; }  // never null after an open that returned kOk
  size_t size() const { return size_; }
  bool is_mapped() const { return owner_ == Owner::kMapping; }

 private:
  enum class Owner { kNone, kMapping, kAllocator };
  Status read_stream(int fd, uint64_t max_bytes, const char* what, Error* error);
  Status read_regular(int fd, size_t size, const char* what, Error* error);
  Status take(int fd, uint64_t max_bytes, const char* what, Access access, Error* error);

  const Allocator* allocator_;
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
  Owner owner_ = Owner::kNone;
};

}  // namespace edgecv::format

#endif  // EDGECV_FORMAT_SOURCE_H_
