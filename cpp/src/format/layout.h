// The records of an .ecv file, byte for byte as docs/format.md gives them. Little-endian; plain
// data, copied out of the mapping before anyone judges them. Only reader.cpp looks at these.
#ifndef EDGECV_FORMAT_LAYOUT_H_
#define EDGECV_FORMAT_LAYOUT_H_

#include <stddef.h>
#include <stdint.h>

namespace edgecv::format {

constexpr uint8_t kMagic[8] = {0x89, 'E', 'C', 'V', 0x0D, 0x0A, 0x1A, 0x0A};
constexpr uint16_t kVersionMajor = 1;
constexpr uint16_t kVersionMinor = 1;
constexpr uint32_t kAbsent = 0xFFFFFFFFu;  // tensor id of an optional input that is not there

constexpr int kMaxRank = 8;
constexpr int kOpInts = 16;
constexpr int kOpFloats = 8;

enum class SectionType : uint32_t {  // four ASCII letters, first letter in the low byte
  kStrings = 0x53525453,             // STRS: UTF-8 bytes, names and labels
  kMeta = 0x4154454D,                // META: MetaRecord[]
  kTensors = 0x534E4554,             // TENS: TensorRecord[]
  kOps = 0x5F53504F,                 // OPS_: OpRecord[], in an order in which they can run
  kOperands = 0x44525045,            // EPRD: u32 tensor ids, the input lists of all ops
  kPorts = 0x54524F50,               // PORT: PortRecord[], the graph's inputs and outputs
  kPreprocess = 0x50455250,          // PREP: PreprocessRecord[]
  kGolden = 0x444C4F47,              // GOLD: GoldenRecord[]
  kDigests = 0x53474944,             // DIGS: DigestRecord[]
  kData = 0x41544144,  // DATA: constant tensors, each at a multiple of 64 bytes of the file
};
constexpr uint32_t kSectionCritical =
    1u;  // a reader that does not know the section must refuse the file

enum class Dtype : uint8_t { kF32 = 1, kS8 = 2, kS32 = 3 };
enum class TensorKind : uint8_t { kActivation = 0, kConstant = 1, kState = 2 };  // kState: reserved
enum class Encoding : uint8_t { kRaw = 0, kCoded = 1 };  // kCoded: from 1.1 on, see coded.h
enum class PortKind : uint8_t { kInput = 0, kOutput = 1 };

struct StringRef {
  uint32_t offset;  // into STRS
  uint32_t size;
};

struct FileHeader {
  uint8_t magic[8];
  uint16_t version_major;
  uint16_t version_minor;
  uint32_t section_count;
  uint64_t file_size;
  uint32_t flags;       // 0
  uint32_t header_crc;  // CRC-32 of this header with header_crc = 0, followed by the section table
  uint8_t hash[32];     // reserved for signing: zeros
};
static_assert(sizeof(FileHeader) == 64 && offsetof(FileHeader, hash) == 32, "docs/format.md");

struct SectionEntry {
  uint32_t type;
  uint32_t flags;
  uint64_t offset;  // multiple of 64; sections lie in table order without gaps but zero padding
  uint64_t size;    // bytes, without padding
  uint32_t crc;     // CRC-32 of the section's bytes
  uint32_t count;   // records in it (bytes for STRS and DATA)
};
static_assert(sizeof(SectionEntry) == 32, "docs/format.md");

struct MetaRecord {
  StringRef key;
  StringRef value;
};
static_assert(sizeof(MetaRecord) == 16, "docs/format.md");

struct TensorRecord {
  StringRef name;
  uint8_t dtype;           // Dtype
  uint8_t kind;            // TensorKind
  uint8_t encoding;        // Encoding
  uint8_t rank;            // 1..8
  int32_t dims[kMaxRank];  // entries past rank are 0
  float scale;  // s8 activations, and s8 constants read as one: 2^-100 .. 2^100; otherwise 0
  int32_t zero_point;
  uint32_t reserved0;
  uint64_t offset;   // constants: from the start of DATA, multiple of 64; activations: 0
  uint64_t size;     // bytes as encoded; activations: 0
  uint32_t variant;  // reserved (several widths over one blob): 0
  uint32_t reserved[5];
};
static_assert(sizeof(TensorRecord) == 96 && offsetof(TensorRecord, dims) == 12 &&
                  offsetof(TensorRecord, scale) == 44 && offsetof(TensorRecord, offset) == 56,
              "docs/format.md");

struct OpRecord {
  StringRef name;        // the ONNX node's name
  uint16_t code;         // op_list.inc
  uint16_t flags;        // 0
  uint32_t first_input;  // into EPRD
  uint32_t input_count;
  uint32_t output;  // tensor id
  int32_t ints[kOpInts];
  float floats[kOpFloats];
  uint32_t exit;  // reserved (early exits): 0
  uint32_t reserved[3];
};
static_assert(sizeof(OpRecord) == 136 && offsetof(OpRecord, ints) == 24 &&
                  offsetof(OpRecord, floats) == 88,
              "docs/format.md");

// A graph input or output. The API shows `api_dims` (the ONNX layout); api axis i is stored axis
// perm[i], so that api_dims[i] == dims[perm[i]] of the tensor.
struct PortRecord {
  StringRef name;
  uint32_t tensor;
  uint8_t kind;      // PortKind
  uint8_t api_rank;  // equals the tensor's rank
  uint8_t perm[kMaxRank];
  uint8_t reserved0[2];
  uint32_t preprocess;  // index into PREP, or kAbsent (inputs only)
  uint32_t exit;        // reserved: 0
  uint32_t reserved[2];
};
static_assert(sizeof(PortRecord) == 40 && offsetof(PortRecord, perm) == 14 &&
                  offsetof(PortRecord, preprocess) == 24,
              "docs/format.md");

// docs/preprocess.md gives the arithmetic; vision/preprocess.h the enums.
struct PreprocessRecord {
  uint32_t resize_mode;    // 0 none, 1 shorter side, 2 stretch, 3 letterbox
  uint32_t interpolation;  // 0 bilinear, 1 bicubic
  uint32_t antialias;      // 0, 1
  int32_t resize_width;    // shorter side: width == height == the side
  int32_t resize_height;
  int32_t crop_width;  // 0: no crop
  int32_t crop_height;
  uint32_t color_order;  // 0 RGB, 1 BGR, 2 grey
  float mean[4];         // in grey levels, in the order the model sees
  float std[4];
  uint8_t fill[4];  // letterbox colour, RGB
  uint32_t reserved[7];
};
static_assert(sizeof(PreprocessRecord) == 96, "docs/format.md");

// One way to check the file on a device: all graph inputs are filled by the generator of
// docs/format.md from `seed`, the model runs, and DIGS[first_digest .. +digest_count) tell what
// must come out.
struct GoldenRecord {
  uint32_t
      kind;  // 0: whole model, digests of each op's output; 1: one op alone, fed by the generator
  uint32_t first_digest;
  uint32_t digest_count;
  uint32_t reserved0;
  uint64_t seed;
  uint32_t reserved[2];
};
static_assert(sizeof(GoldenRecord) == 32, "docs/format.md");

struct DigestRecord {
  uint32_t op;  // whose output
  uint32_t
      kind;  // 0: exact, `digest` is SHA-256 of the stored bytes; 1: f32 samples with a tolerance
  uint8_t digest[32];  // kind 0
  float samples[16];   // kind 1: elements floor(i * count / 16), i = 0..15
  float tolerance;     // kind 1: largest |difference| allowed
  uint32_t reserved[3];
};
static_assert(sizeof(DigestRecord) == 120, "docs/format.md");

}  // namespace edgecv::format

#endif  // EDGECV_FORMAT_LAYOUT_H_
