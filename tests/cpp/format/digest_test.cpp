// CRC-32, SHA-256 and the golden-input generator against published values and plain loops.
#include <algorithm>

#include "check.h"
#include "format/crc32.h"
#include "format/generator.h"
#include "format/sha256.h"

using namespace edgecv::format;

namespace {

uint32_t plain_crc32(const uint8_t* bytes, size_t size) {
  uint32_t crc = ~0u;
  for (size_t i = 0; i < size; ++i) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1u) != 0 ? 0xEDB88320u : 0u);
  }
  return ~crc;
}

std::string hex(const uint8_t* bytes, size_t size) {
  std::string text;
  for (size_t i = 0; i < size; ++i) {
    char pair[3];
    std::snprintf(pair, sizeof(pair), "%02x", bytes[i]);
    text += pair;
  }
  return text;
}

std::string sha256_hex(const std::string& text) {
  uint8_t digest[32];
  sha256(text.data(), text.size(), digest);
  return hex(digest, sizeof(digest));
}

}  // namespace

TEST(crc32_of_the_check_string) { CHECK_EQ(crc32(0, "123456789", 9), 0xCBF43926u); }

TEST(crc32_of_every_length_and_split) {
  constexpr size_t kBytes = 600;  // few bytes take another way on small boards
  edgecv_test::Random random;
  edgecv_test::GuardedBuffer<uint8_t> bytes(kBytes);
  for (size_t i = 0; i < kBytes; ++i) bytes.data()[i] = static_cast<uint8_t>(random.next());
  for (size_t size = 0; size <= kBytes; ++size) {
    const uint8_t* begin =
        bytes.data() + kBytes - size;  // every alignment; the end is the last mapped byte
    const uint32_t want = plain_crc32(begin, size);
    CHECK_EQ(crc32(0, begin, size), want);
    const size_t split = size / 3;
    CHECK_EQ(crc32(crc32(0, begin, split), begin + split, size - split), want);
  }
}

TEST(sha256_of_published_messages) {
  CHECK_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK_EQ(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
           "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK_EQ(sha256_hex(std::string(1000000, 'a')),
           "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(sha256_in_pieces) {
  const std::string text(300, 'x');
  for (size_t size = 0; size <= text.size(); ++size) {
    Sha256 hash;
    for (size_t at = 0; at < size;) {
      const size_t piece = std::min<size_t>(size - at, 1 + at % 71);
      hash.update(text.data() + at, piece);
      at += piece;
    }
    uint8_t digest[32];
    hash.finish(digest);
    CHECK_EQ(hex(digest, 32), sha256_hex(text.substr(0, size)));
  }
}

// The words are those of the public splitmix64 for seed 1234567.
TEST(generator_words) {
  const uint64_t want[5] = {6457827717110365317u, 3203168211198807973u, 9817491932198370423u,
                            4593380528125082431u, 16408922859458223821u};
  for (uint64_t i = 0; i < 5; ++i) CHECK_EQ(generator_word(1234567, i), want[i]);
}

TEST(generator_tensors) {
  for (int64_t count = 0; count <= 20; ++count) {
    edgecv_test::GuardedBuffer<int8_t> q(static_cast<size_t>(count));
    generate(5, Dtype::kS8, count, q.data());
    for (int64_t e = 0; e < count; ++e) {
      const uint8_t byte =
          static_cast<uint8_t>(generator_word(5, static_cast<uint64_t>(e) / 8) >> (e % 8 * 8));
      CHECK_EQ(static_cast<uint8_t>(q.data()[e]), byte);
    }
  }
  float x[64];
  int32_t s[64];
  generate(6, Dtype::kF32, 64, x);
  generate(6, Dtype::kS32, 64, s);
  for (uint64_t e = 0; e < 64; ++e) {
    const uint64_t word = generator_word(6, e);
    CHECK_EQ(static_cast<double>(x[e]), static_cast<double>(word >> 40) / 4194304.0 - 2.0);
    CHECK_EQ(static_cast<uint32_t>(s[e]), static_cast<uint32_t>(word & 0xFFFFFFFFu));
    CHECK(x[e] >= -2.0f && x[e] < 2.0f);
  }
}
