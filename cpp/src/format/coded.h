// Constants of encoding 1 (docs/format.md, "Coded constants"): packed symbols that stand for
// elements, decoded when a file is read.
#ifndef EDGECV_FORMAT_CODED_H_
#define EDGECV_FORMAT_CODED_H_

#include <stddef.h>
#include <stdint.h>

#include "base/allocator.h"
#include "base/status.h"

namespace edgecv::format {

constexpr uint64_t kCodedHeaderBytes = 16;
// A coded constant has at most so many elements a byte, so that what a file asks for is bounded by
// its own size.
constexpr uint64_t kElementsPerCodedByte = 32;

// A constant to decode. The bytes may change while they are read (a mapped file that another
// process writes): the elements are then any, but nothing outside `out` is touched.
struct CodedTensor {
  const uint8_t* bytes;
  uint64_t size;
  int64_t rows;      // the first dim
  int64_t columns;   // the last dim
  int64_t elements;  // of all dims
  int64_t element_bytes;
};

// Whether it has bytes enough to be decoded at all.
inline bool coded_size_fits(const CodedTensor& tensor) {
  return tensor.size >= kCodedHeaderBytes &&
         static_cast<uint64_t>(tensor.elements) <= kElementsPerCodedByte * tensor.size;
}

// Of a tensor with coded_size_fits(): writes elements * element_bytes bytes to `out`. What is wrong
// with the bytes: kCorrupt, or `unknown` for a value that this version does not define, and the
// broken rule in *rule; kOutOfMemory when there is none for tables and symbols.
Status decode(const CodedTensor& tensor, Status unknown, const Allocator& allocator, uint8_t* out,
              const char** rule);

}  // namespace edgecv::format

#endif  // EDGECV_FORMAT_CODED_H_
