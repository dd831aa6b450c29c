// Input and output files of edgecv-run: raw bytes, NumPy's .npy, binary PPM and PGM.
#ifndef EDGECV_TOOLS_RUN_FILES_H_
#define EDGECV_TOOLS_RUN_FILES_H_

#include <edgecv/edgecv.h>
#include <stddef.h>
#include <stdint.h>

namespace edgecv_run {

enum class Kind { kRaw, kPicture, kF32, kS8, kS32 };

// What a file holds. `bytes` is the caller's to free.
struct FileData {
  uint8_t* bytes = nullptr;  // the whole file
  size_t size = 0;
  Kind kind = Kind::kRaw;
  const uint8_t* data = nullptr;  // the elements in it
  size_t data_bytes = 0;
  int rank = 0;
  int64_t dims[EDGECV_MAX_RANK] = {};
  // kPicture: three channels, or one to be repeated.
  int32_t width = 0;
  int32_t height = 0;
  int channels = 0;
};

// Reads and recognizes a file; "-" is the standard input. False after complaining.
bool read_file(const char* path, FileData* file);
void free_file(FileData* file);

// Writes a .npy file of float32 or int32.
bool write_npy(const char* path, edgecv_dtype dtype, const int32_t* dims, int rank,
               const void* data, size_t bytes);

}  // namespace edgecv_run

#endif  // EDGECV_TOOLS_RUN_FILES_H_
