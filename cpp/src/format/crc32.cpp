#include "format/crc32.h"

#include <string.h>

namespace edgecv::format {
namespace {

// Bytes a step takes, 1 KB of table each. Small cores' caches and disks have better use for more;
// there the tables are made where many bytes are to be read, in the time that 2 KB of them take.
#if defined(__x86_64__)
constexpr int kSlices = 16;
constexpr bool kStored = true;
#else
constexpr int kSlices = 8;
constexpr bool kStored = false;
#endif
constexpr size_t kFew = 512;  // bytes that go without tables where none is stored

// The eight lowest bits shifted out.
constexpr uint32_t without_tables(uint32_t value) {
  for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1u) != 0 ? 0xEDB88320u : 0u);
  return value;
}

// table[k][b]: the CRC of byte b followed by k zero bytes.
struct Tables {
  uint32_t table[kSlices][256];
};

constexpr void fill(Tables& t) {
  for (uint32_t b = 0; b < 256; ++b) t.table[0][b] = without_tables(b);
  for (int k = 1; k < kSlices; ++k) {
    for (uint32_t b = 0; b < 256; ++b) {
      t.table[k][b] = (t.table[k - 1][b] >> 8) ^ t.table[0][t.table[k - 1][b] & 0xFFu];
    }
  }
}

constexpr Tables filled() {
  Tables t = {};
  fill(t);
  return t;
}

uint32_t load32(const uint8_t* p) {
  uint32_t value;
  memcpy(&value, p, sizeof(value));
  return value;
}

// The four bytes of `word`, of which the first is followed by `after` + 3 further bytes of the
// step.
inline uint32_t fold(const Tables& t, uint32_t word, int after) {
  return t.table[after + 3][word & 0xFFu] ^ t.table[after + 2][(word >> 8) & 0xFFu] ^
         t.table[after + 1][(word >> 16) & 0xFFu] ^ t.table[after][word >> 24];
}

uint32_t by_tables(const Tables& t, uint32_t crc, const uint8_t* p, size_t size) {
  for (; size >= kSlices; size -= kSlices, p += kSlices) {
    uint32_t folded = fold(t, crc ^ load32(p), kSlices - 4);
    for (int at = 4; at < kSlices; at += 4) folded ^= fold(t, load32(p + at), kSlices - 4 - at);
    crc = folded;
  }
  for (; size != 0; --size, ++p) crc = (crc >> 8) ^ t.table[0][(crc ^ *p) & 0xFFu];
  return crc;
}

}  // namespace

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "the core reads little-endian files in place");

uint32_t crc32(uint32_t crc, const void* bytes, size_t size) {
  const uint8_t* p = static_cast<const uint8_t*>(bytes);
  crc = ~crc;
  if constexpr (kStored) {
    static constexpr Tables kTables = filled();
    return ~by_tables(kTables, crc, p, size);
  }
  if (size >= kFew) {
    Tables tables;
    fill(tables);
    return ~by_tables(tables, crc, p, size);
  }
  for (; size != 0; --size, ++p) crc = without_tables(crc ^ *p);
  return ~crc;
}

}  // namespace edgecv::format
