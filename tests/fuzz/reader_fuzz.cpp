// libFuzzer target of the file reader: any bytes give a status; an accepted file is safe to walk.
// The mutator repairs sizes and checksums, so that most inputs get past the container. Seeds:
// tests/data/golden.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "format/crc32.h"
#include "format/reader.h"

using namespace edgecv::format;

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

// splitmix64, for the mutator's own choices.
struct Choice {
  uint64_t state;
  uint64_t next() {
    uint64_t z = (state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  uint64_t below(uint64_t n) { return next() % n; }
};

uint64_t table_entries(const FileHeader& header, size_t size) {
  const uint64_t room = (size - sizeof(FileHeader)) / sizeof(SectionEntry);
  return header.section_count < room ? header.section_count : room;
}

SectionEntry entry_at(const uint8_t* data, uint64_t i) {
  SectionEntry entry;
  std::memcpy(&entry, data + sizeof(FileHeader) + i * sizeof(entry), sizeof(entry));
  return entry;
}

// One 32-bit word of one section becomes another one: what records are made of.
void mutate_word(uint8_t* data, size_t size, Choice* choice) {
  FileHeader header;
  std::memcpy(&header, data, sizeof(header));
  const uint64_t count = table_entries(header, size);
  if (count == 0) return;
  const SectionEntry entry = entry_at(data, choice->below(count));
  if (entry.size < 4 || entry.offset > size || entry.size > size - entry.offset) return;
  uint8_t* at = data + entry.offset + choice->below(entry.size / 4) * 4;
  static const uint32_t kWords[] = {
      0,          1,          2,          3,          7,          8,          9,
      16,         127,        128,        255,        256,        32767,      32768,
      65535,      65536,      1u << 20,   1u << 30,   0x7FFFFFFF, 0x80000000, 0xFFFFFFFF,
      0xFFFFFF80, 0x3F800000, 0x7F800000, 0x7FC00000, 0x00000001, 0x49800000, 0x0D800000};
  uint32_t word;
  std::memcpy(&word, at, 4);
  switch (choice->below(4)) {
    case 0:
      word = kWords[choice->below(sizeof(kWords) / sizeof(kWords[0]))];
      break;
    case 1:
      word += static_cast<uint32_t>(choice->below(5)) - 2;
      break;
    case 2:
      word ^= 1u << choice->below(32);
      break;
    default:
      word = (word & ~(0xFFu << 8)) | static_cast<uint32_t>(choice->below(256)) << 8;
      break;
  }
  std::memcpy(at, &word, 4);
}

void repair(uint8_t* data, size_t size) {
  FileHeader header;
  std::memcpy(&header, data, sizeof(header));
  const uint64_t count = table_entries(header, size);
  for (uint64_t i = 0; i < count; ++i) {
    SectionEntry entry = entry_at(data, i);
    if (entry.offset > size || entry.size > size - entry.offset) continue;
    entry.crc = crc32(0, data + entry.offset, static_cast<size_t>(entry.size));
    std::memcpy(data + sizeof(FileHeader) + i * sizeof(entry), &entry, sizeof(entry));
  }
  header.file_size = size;
  header.header_crc = 0;
  uint32_t crc = crc32(0, &header, sizeof(header));
  crc = crc32(crc, data + sizeof(header), static_cast<size_t>(count) * sizeof(SectionEntry));
  header.header_crc = crc;
  std::memcpy(data, &header, sizeof(header));
}

// Reads whatever the runtime would: a wrong promise of the reader shows as a sanitizer report.
uint64_t walk(const ParsedModel& model) {
  if (model.work < 0) std::abort();
  uint64_t sum = 0;
  for (uint32_t i = 0; i < model.tensors.size(); ++i) {
    const TensorRecord& tensor = model.tensors[i];
    sum += std::strlen(model.tensor_name(i));
    if (!model.is_constant(i)) continue;
    if (reinterpret_cast<uintptr_t>(model.constants[i]) % 64 != 0) std::abort();
    for (int64_t b = 0; b < tensor_bytes(tensor); ++b) sum += model.constants[i][b];
  }
  for (uint32_t i = 0; i < model.ops.size(); ++i) {
    sum += std::strlen(model.op_name(i)) + std::strlen(op_code_name(model.ops[i].code));
    for (uint32_t k = 0; k < model.ops[i].input_count; ++k) {
      const TensorRecord* input = model.input(model.ops[i], k);
      if (input != nullptr) sum += static_cast<uint64_t>(element_count(*input));
    }
    sum += static_cast<uint64_t>(element_count(model.output(model.ops[i])));
  }
  for (const PortRecord& port : model.ports) {
    for (int d = 0; d < port.api_rank; ++d)
      sum += static_cast<uint64_t>(model.tensors[port.tensor].dims[port.perm[d]]);
    if (port.preprocess != kAbsent) sum += model.preprocess[port.preprocess].color_order;
  }
  for (const GoldenRecord& golden : model.goldens) {
    for (uint32_t d = 0; d < golden.digest_count; ++d) {
      sum += model.output(model.ops[model.digests[golden.first_digest + d].op]).rank;
    }
  }
  for (const MetaRecord& record : model.meta) sum += std::strlen(model.text(record.value));
  return sum;
}

volatile uint64_t g_sink;

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  Choice choice = {seed};
  if (size >= sizeof(FileHeader) && choice.below(4) != 0) {
    for (uint64_t n = 1 + choice.below(3); n != 0; --n) mutate_word(data, size, &choice);
  } else {
    size = LLVMFuzzerMutate(data, size, max_size);
  }
  if (size >= sizeof(FileHeader) && choice.below(16) != 0) repair(data, size);
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  void* block = nullptr;  // exactly `size` bytes, aligned
  if (posix_memalign(&block, 64, size == 0 ? 1 : size) != 0) return 0;
  if (size != 0) std::memcpy(block, data, size);
  {
    ParsedModel model(edgecv::default_allocator());
    edgecv::Error error;
    const edgecv::Status status =
        read_model(static_cast<uint8_t*>(block), size, Limits(), &model, &error);
    if ((status == edgecv::Status::kOk) != (error.text[0] == '\0')) std::abort();
    if (status == edgecv::Status::kOk) g_sink = walk(model);
  }
  std::free(block);
  return 0;
}
