#include "format/crc32.h"

#include <string.h>

namespace edgecv::format {
namespace {

// Bytes a step takes, 1 KB of table each. Small cores' caches and disks have better use for more.
#if defined(__x86_64__)
constexpr int kSlices = 16;
#else
constexpr int kSlices = 8;
#endif

// table[k][b]: the CRC of byte b followed by k zero bytes.
struct Tables {
  uint32_t table[kSlices][256];
  constexpr Tables() : table() {
    for (uint32_t b = 0; b < 256; ++b) {
      uint32_t value = b;
      for (int bit = 0; bit < 8; ++bit)
        value = (value >> 1) ^ ((value & 1u) != 0 ? 0xEDB88320u : 0u);
      table[0][b] = value;
    }
    for (int k = 1; k < kSlices; ++k) {
      for (uint32_t b = 0; b < 256; ++b) {
        table[k][b] = (table[k - 1][b] >> 8) ^ table[0][table[k - 1][b] & 0xFFu];
      }
    }
  }
};
constexpr Tables kTables;

uint32_t load32(const uint8_t* p) {
  uint32_t value;
  memcpy(&value, p, sizeof(value));
  return value;
}

// The four bytes of `word`, of which the first is followed by `after` + 3 further bytes of the
// step.
inline uint32_t fold(uint32_t word, int after) {
  return kTables.table[after + 3][word & 0xFFu] ^ kTables.table[after + 2][(word >> 8) & 0xFFu] ^
         kTables.table[after + 1][(word >> 16) & 0xFFu] ^ kTables.table[after][word >> 24];
}

}  // namespace

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "the core reads little-endian files in place");

uint32_t crc32(uint32_t crc, const void* bytes, size_t size) {
  const uint8_t* p = static_cast<const uint8_t*>(bytes);
  crc = ~crc;
  for (; size >= kSlices; size -= kSlices, p += kSlices) {
    uint32_t folded = fold(crc ^ load32(p), kSlices - 4);
    for (int at = 4; at < kSlices; at += 4) folded ^= fold(load32(p + at), kSlices - 4 - at);
    crc = folded;
  }
  for (; size != 0; --size, ++p) crc = (crc >> 8) ^ kTables.table[0][(crc ^ *p) & 0xFFu];
  return ~crc;
}

}  // namespace edgecv::format
