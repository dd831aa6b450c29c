// CRC-32 of IEEE 802.3 (that of zlib, PNG and Python's zlib.crc32).
#ifndef EDGECV_FORMAT_CRC32_H_
#define EDGECV_FORMAT_CRC32_H_

#include <stddef.h>
#include <stdint.h>

namespace edgecv::format {

// Continues `crc` (0 at the start) over `size` bytes.
uint32_t crc32(uint32_t crc, const void* bytes, size_t size);

}  // namespace edgecv::format

#endif  // EDGECV_FORMAT_CRC32_H_
