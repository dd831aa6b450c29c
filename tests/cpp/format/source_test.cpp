// A model's bytes from a path, a descriptor, a pipe or memory; and what the system refuses.
#include "format/source.h"

#include <fcntl.h>

#include <thread>

#include "check.h"

using namespace edgecv;
using format::Source;

namespace {

constexpr uint64_t kNoLimit = ~uint64_t{0};

// A file that is gone when this is.
struct TempFile {
  std::string path;
  explicit TempFile(const std::string& content) {
    char name[] = "/tmp/edgecv_source_XXXXXX";
    const int fd = mkstemp(name);
    path = name;
    if (fd < 0 || write(fd, content.data(), content.size()) != static_cast<ssize_t>(content.size()))
      std::abort();
    close(fd);
  }
  ~TempFile() { unlink(path.c_str()); }
};

std::string text(const Source& source) {
  return std::string(reinterpret_cast<const char*>(source.data()), source.size());
}

bool aligned(const Source& source) {
  return source.data() != nullptr && reinterpret_cast<uintptr_t>(source.data()) % kAlignment == 0;
}

}  // namespace

TEST(a_path_is_mapped) {
  const TempFile file("twelve bytes");
  Source source(default_allocator());
  Error error;
  CHECK_EQ(source.open_path(file.path.c_str(), kNoLimit, &error), Status::kOk);
  CHECK(source.is_mapped());
  CHECK(aligned(source));
  CHECK_EQ(text(source), "twelve bytes");
  CHECK_EQ(source.open_path(file.path.c_str(), 12, &error), Status::kOk);
  CHECK_EQ(source.open_path(file.path.c_str(), 11, &error), Status::kLimit);
  CHECK_EQ(source.size(), size_t{0});
}

TEST(a_path_is_read_on_request) {
  const TempFile file("twelve bytes");
  Source source(default_allocator());
  Error error;
  CHECK_EQ(source.open_path(file.path.c_str(), kNoLimit, &error, Source::kRead), Status::kOk);
  CHECK(!source.is_mapped());
  CHECK(aligned(source));
  // What a mapping would show or die of.
  CHECK_EQ(truncate(file.path.c_str(), 0), 0);
  CHECK_EQ(text(source), "twelve bytes");
  CHECK_EQ(source.open_path(file.path.c_str(), kNoLimit, &error, Source::kRead), Status::kOk);
  CHECK_EQ(source.size(), size_t{0});
  CHECK_EQ(truncate(file.path.c_str(), 12), 0);
  CHECK_EQ(source.open_path(file.path.c_str(), 11, &error, Source::kRead), Status::kLimit);
  const int fd = open(file.path.c_str(), O_RDONLY);
  REQUIRE(fd >= 0);
  CHECK_EQ(lseek(fd, 5, SEEK_SET), off_t{5});
  CHECK_EQ(source.open_fd(fd, kNoLimit, &error, Source::kRead), Status::kOk);
  CHECK_EQ(source.size(), size_t{12});
  close(fd);
}

TEST(an_empty_file_has_no_bytes) {
  const TempFile file("");
  Source source(default_allocator());
  CHECK_EQ(source.open_path(file.path.c_str(), kNoLimit, nullptr), Status::kOk);
  CHECK(aligned(source));
  CHECK_EQ(source.size(), size_t{0});
}

TEST(what_cannot_be_opened_is_an_io_error_that_names_it) {
  Source source(default_allocator());
  Error error;
  CHECK_EQ(source.open_path("/nowhere/model.ecv", kNoLimit, &error), Status::kIo);
  CHECK(std::string(error.text).find("/nowhere/model.ecv") != std::string::npos);
  CHECK_EQ(source.open_path("/tmp", kNoLimit, &error), Status::kIo);
  CHECK(std::string(error.text).find("directory") != std::string::npos);
  CHECK_EQ(source.open_path("", kNoLimit, &error), Status::kInvalidArgument);
  CHECK_EQ(source.open_path(nullptr, kNoLimit, &error), Status::kInvalidArgument);
  CHECK_EQ(source.open_fd(-1, kNoLimit, &error), Status::kInvalidArgument);
  CHECK_EQ(source.open_fd(999, kNoLimit, &error), Status::kIo);
}

TEST(a_descriptor_is_read_from_its_beginning_and_stays_open) {
  const TempFile file("twelve bytes");
  const int fd = open(file.path.c_str(), O_RDONLY);
  CHECK_EQ(lseek(fd, 5, SEEK_SET), off_t{5});
  Source source(default_allocator());
  CHECK_EQ(source.open_fd(fd, kNoLimit, nullptr), Status::kOk);
  CHECK_EQ(lseek(fd, 0, SEEK_CUR), off_t{5});
  CHECK_EQ(close(fd), 0);
  CHECK_EQ(text(source), "twelve bytes");
}

TEST(a_pipe_is_read_to_its_end) {
  std::string content;
  for (int i = 0; i < 300000; ++i) content += static_cast<char>('a' + i % 26);
  int ends[2];
  REQUIRE_EQ(pipe(ends), 0);
  std::thread writer([&] {
    size_t at = 0;
    while (at < content.size()) {
      const ssize_t n = write(ends[1], content.data() + at, content.size() - at);
      if (n <= 0) break;
      at += static_cast<size_t>(n);
    }
    close(ends[1]);
  });
  Source source(default_allocator());
  CHECK_EQ(source.open_fd(ends[0], kNoLimit, nullptr), Status::kOk);
  writer.join();
  close(ends[0]);
  CHECK(!source.is_mapped());
  CHECK(aligned(source));
  CHECK(text(source) == content);
}

TEST(a_pipe_above_the_limit_is_refused) {
  int ends[2];
  REQUIRE_EQ(pipe(ends), 0);
  CHECK_EQ(write(ends[1], "0123456789", 10), ssize_t{10});
  close(ends[1]);
  Source source(default_allocator());
  CHECK_EQ(source.open_fd(ends[0], 9, nullptr), Status::kLimit);
  CHECK_EQ(source.size(), size_t{0});
  close(ends[0]);
}

TEST(bytes_are_copied_or_borrowed) {
  alignas(64) char bytes[128] = "some bytes";
  Source source(default_allocator());
  CHECK_EQ(source.open_bytes(bytes, 10, kNoLimit, nullptr), Status::kOk);
  CHECK(aligned(source));
  CHECK(source.data() != reinterpret_cast<uint8_t*>(bytes));
  CHECK_EQ(text(source), "some bytes");
  CHECK_EQ(source.borrow_bytes(bytes, 10, kNoLimit, nullptr), Status::kOk);
  CHECK(source.data() == reinterpret_cast<uint8_t*>(bytes));
  CHECK_EQ(source.borrow_bytes(bytes + 5, 5, kNoLimit, nullptr), Status::kOk);
  CHECK(aligned(source));
  CHECK_EQ(text(source), "bytes");
  CHECK_EQ(source.open_bytes(bytes, 10, 9, nullptr), Status::kLimit);
  CHECK_EQ(source.open_bytes(nullptr, 1, kNoLimit, nullptr), Status::kInvalidArgument);
  CHECK_EQ(source.open_bytes(nullptr, 0, kNoLimit, nullptr), Status::kOk);
  CHECK(aligned(source));
}

TEST(no_memory_is_a_status) {
  const Allocator none = {nullptr, [](void*, size_t, size_t) -> void* { return nullptr; },
                          [](void*, void*) {}};
  Source source(none);
  CHECK_EQ(source.open_bytes("x", 1, kNoLimit, nullptr), Status::kOutOfMemory);
  int ends[2];
  REQUIRE_EQ(pipe(ends), 0);
  close(ends[1]);
  CHECK_EQ(source.open_fd(ends[0], kNoLimit, nullptr), Status::kOutOfMemory);
  close(ends[0]);
}
