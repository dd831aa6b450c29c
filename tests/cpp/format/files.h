// Reading test data, judging bytes, and repairing the checksums of a damaged file.
#ifndef EDGECV_TESTS_CPP_FORMAT_FILES_H_
#define EDGECV_TESTS_CPP_FORMAT_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace format_test {

using Bytes = std::vector<uint8_t>;

// Names of the files in tests/data/<folder> that end with .ecv, sorted.
std::vector<std::string> list_files(const std::string& folder);
// Bytes of tests/data/<name>; empty when there is none.
Bytes load_file(const std::string& name);

// read_model() on an aligned copy that ends on the last byte of its block; the text of a failure in
// *text.
edgecv::Status judge(const uint8_t* bytes, size_t size, std::string* text = nullptr);
inline edgecv::Status judge(const Bytes& bytes, std::string* text = nullptr) {
  return judge(bytes.data(), bytes.size(), text);
}

// Makes the CRC-32s of the sections that lie within the file, then that of the header, what they
// have to be.
void repair_checksums(Bytes* bytes);

}  // namespace format_test

#endif  // EDGECV_TESTS_CPP_FORMAT_FILES_H_
