#include "files.h"

#include <dirent.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "format/crc32.h"
#include "format/layout.h"
#include "format/reader.h"

namespace format_test {

using namespace edgecv::format;

std::vector<std::string> list_files(const std::string& folder) {
  std::vector<std::string> names;
  DIR* dir = opendir((std::string(EDGECV_TEST_DATA) + "/" + folder).c_str());
  if (dir == nullptr) return names;
  while (const dirent* entry = readdir(dir)) {
    const std::string name = entry->d_name;
    if (name.size() > 4 && name.compare(name.size() - 4, 4, ".ecv") == 0) names.push_back(name);
  }
  closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

Bytes load_file(const std::string& name) {
  Bytes bytes;
  std::FILE* file = std::fopen((std::string(EDGECV_TEST_DATA) + "/" + name).c_str(), "rb");
  if (file == nullptr) return bytes;
  uint8_t block[4096];
  while (const size_t got = std::fread(block, 1, sizeof(block), file)) {
    bytes.insert(bytes.end(), block, block + got);
  }
  std::fclose(file);
  return bytes;
}

edgecv::Status judge(const uint8_t* bytes, size_t size, std::string* text) {
  void* block = nullptr;
  if (posix_memalign(&block, 64, size == 0 ? 1 : size) != 0) std::abort();
  if (size != 0) std::memcpy(block, bytes, size);
  edgecv::Error error;
  edgecv::Status status;
  {
    ParsedModel model(edgecv::default_allocator());
    status = read_model(static_cast<const uint8_t*>(block), size, Limits(), &model, &error);
  }
  std::free(block);
  if (text != nullptr) *text = error.text;
  return status;
}

void repair_checksums(Bytes* bytes) {
  FileHeader header;
  if (bytes->size() < sizeof(header)) return;
  std::memcpy(&header, bytes->data(), sizeof(header));
  const uint64_t room = (bytes->size() - sizeof(header)) / sizeof(SectionEntry);
  const uint64_t count = std::min<uint64_t>(header.section_count, room);
  for (uint64_t i = 0; i < count; ++i) {
    uint8_t* at = bytes->data() + sizeof(header) + i * sizeof(SectionEntry);
    SectionEntry entry;
    std::memcpy(&entry, at, sizeof(entry));
    if (entry.offset > bytes->size() || entry.size > bytes->size() - entry.offset) continue;
    entry.crc = crc32(0, bytes->data() + entry.offset, static_cast<size_t>(entry.size));
    std::memcpy(at, &entry, sizeof(entry));
  }
  header.header_crc = 0;
  uint32_t crc = crc32(0, &header, sizeof(header));
  crc =
      crc32(crc, bytes->data() + sizeof(header), static_cast<size_t>(count) * sizeof(SectionEntry));
  header.header_crc = crc;
  std::memcpy(bytes->data(), &header, sizeof(header));
}

}  // namespace format_test
