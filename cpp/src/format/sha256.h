// SHA-256 (FIPS 180-4), for the digests of golden runs.
#ifndef EDGECV_FORMAT_SHA256_H_
#define EDGECV_FORMAT_SHA256_H_

#include <stddef.h>
#include <stdint.h>

namespace edgecv::format {

class Sha256 {
 public:
  Sha256();
  void update(const void* bytes, size_t size);
  void finish(uint8_t digest[32]);

 private:
  void block(const uint8_t* bytes);
  uint32_t state_[8];
  uint64_t length_ = 0;
  uint8_t pending_[64];
};

void sha256(const void* bytes, size_t size, uint8_t digest[32]);

}  // namespace edgecv::format

#endif  // EDGECV_FORMAT_SHA256_H_
