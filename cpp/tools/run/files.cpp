#include "files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

namespace edgecv_run {
namespace {

constexpr size_t kMaxFileBytes = size_t{1} << 30;

bool read_all(FILE* stream, const char* path, FileData* file) {
  size_t capacity = size_t{1} << 16;
  uint8_t* bytes = static_cast<uint8_t*>(malloc(capacity));
  while (bytes != nullptr) {
    const size_t got = fread(bytes + file->size, 1, capacity - file->size, stream);
    file->size += got;
    if (file->size < capacity) break;
    if (capacity >= kMaxFileBytes) {
      free(bytes);
      complain("%s: larger than 1 GiB", path);
      return false;
    }
    capacity *= 2;
    uint8_t* grown = static_cast<uint8_t*>(realloc(bytes, capacity));
    if (grown == nullptr) free(bytes);
    bytes = grown;
  }
  if (bytes == nullptr) {
    complain("%s: no memory for it", path);
    return false;
  }
  file->bytes = bytes;
  if (ferror(stream) != 0) {
    complain("%s: cannot read it (%s)", path, strerror(errno));
    return false;
  }
  return true;
}

// A number of a PPM header, after white space and comments.
bool ppm_number(const FileData& file, size_t* at, int32_t* value) {
  while (*at < file.size) {
    const uint8_t c = file.bytes[*at];
    if (c == '#') {
      while (*at < file.size && file.bytes[*at] != '\n') ++*at;
    } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      ++*at;
    } else {
      break;
    }
  }
  const size_t start = *at;
  int32_t number = 0;
  while (*at < file.size && file.bytes[*at] >= '0' && file.bytes[*at] <= '9' && number < 1000000)
    number = 10 * number + (file.bytes[(*at)++] - '0');
  *value = number;
  return *at > start;
}

bool read_ppm(const char* path, FileData* file) {
  size_t at = 2;
  int32_t most = 0;
  file->kind = Kind::kPicture;
  file->channels = file->bytes[1] == '6' ? 3 : 1;
  if (!ppm_number(*file, &at, &file->width) || !ppm_number(*file, &at, &file->height) ||
      !ppm_number(*file, &at, &most) || at >= file->size || file->width < 1 || file->height < 1) {
    complain("%s: its PPM header is damaged", path);
    return false;
  }
  ++at;  // one white space
  if (most != 255) {
    complain("%s: a PPM of 8 bits a channel is needed (maximum 255, not %d)", path, most);
    return false;
  }
  file->data = file->bytes + at;
  file->data_bytes = file->size - at;
  const uint64_t need = static_cast<uint64_t>(file->width) * static_cast<uint64_t>(file->height) *
                        static_cast<uint64_t>(file->channels);
  if (file->data_bytes < need) {
    complain("%s: %d x %d pixels need %llu bytes, it holds %zu", path, file->width, file->height,
             static_cast<unsigned long long>(need), file->data_bytes);
    return false;
  }
  return true;
}

// The text behind 'key': in the header's dictionary, or null.
const char* npy_value(const char* header, const char* key) {
  const char* found = strstr(header, key);
  if (found == nullptr) return nullptr;
  found += strlen(key);
  while (*found == ' ' || *found == ':') ++found;
  return found;
}

bool npy_shape(const char* text, FileData* file) {
  if (text == nullptr || *text != '(') return false;
  ++text;
  while (*text != ')') {
    char* end = nullptr;
    const long long size = strtoll(text, &end, 10);
    if (end == text || size < 0 || file->rank == EDGECV_MAX_RANK) return false;
    file->dims[file->rank++] = size;
    text = end;
    while (*text == ' ' || *text == ',') ++text;
  }
  return true;
}

bool read_npy(const char* path, FileData* file) {
  const size_t length_bytes = file->size > 8 && file->bytes[6] == 1 ? 2 : 4;
  size_t length = 0;
  size_t start = 8 + length_bytes;
  for (size_t i = 0; i < length_bytes && start <= file->size; ++i)
    length |= static_cast<size_t>(file->bytes[8 + i]) << (8 * i);
  char header[1024];
  if (start > file->size || length > file->size - start || length >= sizeof(header)) {
    complain("%s: its NumPy header is damaged", path);
    return false;
  }
  memcpy(header, file->bytes + start, length);
  header[length] = 0;
  const char* dtype = npy_value(header, "'descr'");
  const char* order = npy_value(header, "'fortran_order'");
  size_t element = 0;
  if (dtype == nullptr || order == nullptr || !npy_shape(npy_value(header, "'shape'"), file)) {
    complain("%s: its NumPy header is damaged", path);
    return false;
  }
  const bool contiguous = strncmp(order, "False", 5) == 0;
  if (strncmp(dtype, "'<f4'", 5) == 0) {
    file->kind = Kind::kF32;
    element = 4;
  } else if (strncmp(dtype, "'<i4'", 5) == 0) {
    file->kind = Kind::kS32;
    element = 4;
  } else if (strncmp(dtype, "'|i1'", 5) == 0) {
    file->kind = Kind::kS8;
    element = 1;
  } else if (strncmp(dtype, "'|u1'", 5) == 0 && file->rank == 3 && file->dims[2] == 3) {
    file->kind = Kind::kPicture;
    element = 1;
  }
  if (element == 0 || !contiguous) {
    complain(
        "%s: an array in C order of float32, int8 or int32 is needed, or a uint8 picture "
        "[height, width, 3]; this one is %.60s",
        path, header);
    return false;
  }
  file->data = file->bytes + start + length;
  file->data_bytes = file->size - start - length;
  uint64_t need = element;
  for (int i = 0; i < file->rank; ++i) {
    if (file->dims[i] != 0 && need > kMaxFileBytes / static_cast<uint64_t>(file->dims[i])) {
      need = UINT64_MAX;
      break;
    }
    need *= static_cast<uint64_t>(file->dims[i]);
  }
  if (need != file->data_bytes) {
    complain("%s: holds %zu bytes of data, its shape needs another number", path, file->data_bytes);
    return false;
  }
  if (file->kind == Kind::kPicture) {
    file->height = static_cast<int32_t>(file->dims[0]);
    file->width = static_cast<int32_t>(file->dims[1]);
    file->channels = 3;
  }
  return true;
}

}  // namespace

bool read_file(const char* path, FileData* file) {
  const bool standard = strcmp(path, "-") == 0;
  FILE* stream = standard ? stdin : fopen(path, "rb");
  if (stream == nullptr) {
    complain("%s: cannot open it (%s)", path, strerror(errno));
    return false;
  }
  const bool good = read_all(stream, path, file);
  if (!standard) fclose(stream);
  if (!good) return false;
  if (file->size > 6 && memcmp(file->bytes, "\x93NUMPY", 6) == 0) return read_npy(path, file);
  if (file->size > 2 && file->bytes[0] == 'P' && (file->bytes[1] == '6' || file->bytes[1] == '5') &&
      (file->bytes[2] == '\n' || file->bytes[2] == ' ' || file->bytes[2] == '\r'))
    return read_ppm(path, file);
  file->data = file->bytes;
  file->data_bytes = file->size;
  return true;
}

void free_file(FileData* file) {
  free(file->bytes);
  *file = FileData();
}

bool write_npy(const char* path, edgecv_dtype dtype, const int32_t* dims, int rank,
               const void* data, size_t bytes) {
  char shape[EDGECV_MAX_RANK * 12 + 4] = "(";
  size_t used = 1;
  for (int i = 0; i < rank; ++i)
    used += static_cast<size_t>(snprintf(shape + used, sizeof(shape) - used, "%d,", dims[i]));
  snprintf(shape + used, sizeof(shape) - used, ")");
  char header[256];
  const int text = snprintf(header, sizeof(header) - 64,
                            "{'descr': '%s', 'fortran_order': False, 'shape': %s, }",
                            dtype == EDGECV_DTYPE_S32 ? "<i4" : "<f4", shape);
  size_t length = static_cast<size_t>(text);
  while ((10 + length + 1) % 64 != 0) header[length++] = ' ';
  header[length++] = '\n';
  const uint8_t start[10] = {0x93,
                             'N',
                             'U',
                             'M',
                             'P',
                             'Y',
                             1,
                             0,
                             static_cast<uint8_t>(length & 255),
                             static_cast<uint8_t>(length >> 8)};
  FILE* stream = fopen(path, "wb");
  const bool good = stream != nullptr && fwrite(start, 1, 10, stream) == 10 &&
                    fwrite(header, 1, length, stream) == length &&
                    fwrite(data, 1, bytes, stream) == bytes;
  if (stream == nullptr || fclose(stream) != 0 || !good) {
    complain("%s: cannot write it (%s)", path, strerror(errno));
    return false;
  }
  return true;
}

}  // namespace edgecv_run
