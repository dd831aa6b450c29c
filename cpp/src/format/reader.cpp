// The container: header, section table, checksums, padding, copies of the records; then the judges
// of the records.
#include "format/reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "format/crc32.h"
#include "format/judge_ops.h"
#include "format/judge_records.h"

namespace edgecv::format {
namespace {

constexpr uint64_t kAlign = 64;
constexpr int kKnownSections = 10;

struct SectionRule {
  SectionType type;
  uint32_t flags;
  uint32_t record_size;  // 1: bytes
};
// In the order of the file.
constexpr SectionRule kRules[kKnownSections] = {
    {SectionType::kStrings, kSectionCritical, 1},
    {SectionType::kMeta, 0, sizeof(MetaRecord)},
    {SectionType::kTensors, kSectionCritical, sizeof(TensorRecord)},
    {SectionType::kOps, kSectionCritical, sizeof(OpRecord)},
    {SectionType::kOperands, kSectionCritical, sizeof(uint32_t)},
    {SectionType::kPorts, kSectionCritical, sizeof(PortRecord)},
    {SectionType::kPreprocess, 0, sizeof(PreprocessRecord)},
    {SectionType::kGolden, 0, sizeof(GoldenRecord)},
    {SectionType::kDigests, 0, sizeof(DigestRecord)},
    {SectionType::kData, kSectionCritical, 1},
};

// Where the known sections are, by position in kRules.
struct Layout {
  uint64_t offset[kKnownSections];
  uint32_t count[kKnownSections];
};

struct TypeName {
  char text[5];
  explicit TypeName(uint32_t type) : text() {
    for (int i = 0; i < 4; ++i) {
      const char c = static_cast<char>(type >> (8 * i) & 0xFFu);
      text[i] = c >= ' ' && c <= '~' ? c : '?';
    }
  }
};

uint64_t align_up(uint64_t value) { return (value + kAlign - 1) / kAlign * kAlign; }

uint64_t count_limit(const Limits& limits, SectionType type) {
  switch (type) {
    case SectionType::kStrings:
      return limits.string_bytes;
    case SectionType::kMeta:
      return limits.meta;
    case SectionType::kTensors:
      return limits.tensors;
    case SectionType::kOps:
      return limits.ops;
    case SectionType::kOperands:
      return limits.operands;
    case SectionType::kPorts:
      return limits.ports;
    case SectionType::kPreprocess:
      return limits.preprocess;
    case SectionType::kGolden:
      return limits.goldens;
    case SectionType::kDigests:
      return limits.digests;
    case SectionType::kData:
      return limits.file_bytes;
  }
  return 0;
}

Status judge_header(const uint8_t* bytes, uint64_t size, const Limits& limits, FileHeader* header,
                    Error* error) {
  const size_t magic = size < sizeof(kMagic) ? static_cast<size_t>(size) : sizeof(kMagic);
  if (memcmp(bytes, kMagic, magic) != 0) {
    return fail(error, Status::kNotEcv, "not an .ecv file: the first bytes are not its magic");
  }
  if (size < sizeof(FileHeader)) {
    return fail(error, Status::kTruncated, "the file has %" PRIu64 " bytes, at least 64 are needed",
                size);
  }
  memcpy(header, bytes, sizeof(FileHeader));
  if (header->version_major != kVersionMajor) {
    return fail(error, Status::kVersion, "format version %u.%u, this build reads %u.x",
                header->version_major, header->version_minor, kVersionMajor);
  }
  if (size > limits.file_bytes) {
    return fail(error, Status::kLimit, "%" PRIu64 " bytes, the limit is %" PRIu64, size,
                limits.file_bytes);
  }
  if (size < header->file_size) {
    return fail(error, Status::kTruncated,
                "the file has %" PRIu64 " bytes, its header says %" PRIu64, size,
                header->file_size);
  }
  if (size > header->file_size) {
    return fail(error, Status::kCorrupt, "the file has %" PRIu64 " bytes, its header says %" PRIu64,
                size, header->file_size);
  }
  if (header->section_count > limits.sections) {
    return fail(error, Status::kLimit, "%u sections, the limit is %u", header->section_count,
                limits.sections);
  }
  const uint64_t table = uint64_t{header->section_count} * sizeof(SectionEntry);
  if (sizeof(FileHeader) + table > size) {
    return fail(error, Status::kCorrupt,
                "a table of %u sections does not fit into %" PRIu64 " bytes", header->section_count,
                size);
  }
  FileHeader unsigned_header = *header;
  unsigned_header.header_crc = 0;
  uint32_t crc = crc32(0, &unsigned_header, sizeof(unsigned_header));
  crc = crc32(crc, bytes + sizeof(FileHeader), static_cast<size_t>(table));
  if (crc != header->header_crc) {
    return fail(error, Status::kChecksum,
                "the CRC-32 of header and section table is %08x, stored is %08x", crc,
                header->header_crc);
  }
  return Status::kOk;
}

// The rule of a section type as its position in kRules, kKnownSections when the type is unknown.
int known_section(uint32_t type) {
  int i = 0;
  while (i < kKnownSections && static_cast<uint32_t>(kRules[i].type) != type) ++i;
  return i;
}

Status judge_known(const SectionEntry& entry, uint32_t index, int known, const Limits& limits,
                   const ParsedModel& model, Error* error) {
  const SectionRule& rule = kRules[known];
  const TypeName name(entry.type);
  if (entry.flags != rule.flags) {
    return fail(error, unknown_value(model), "section %u (%s): flags are %u, not %u", index,
                name.text, entry.flags, rule.flags);
  }
  if (entry.size != uint64_t{entry.count} * rule.record_size) {
    return fail(error, Status::kCorrupt,
                "section %u (%s): %" PRIu64 " bytes are not %u records of %u", index, name.text,
                entry.size, entry.count, rule.record_size);
  }
  const uint64_t limit = count_limit(limits, rule.type);
  if (entry.count > limit) {
    return fail(error, Status::kLimit, "section %u (%s): %u entries, the limit is %" PRIu64, index,
                name.text, entry.count, limit);
  }
  return Status::kOk;
}

Status judge_sections(const uint8_t* bytes, uint64_t size, const Limits& limits,
                      const ParsedModel& model, Layout* layout, Error* error) {
  if (model.header.flags != 0 || !all_zero(model.header.hash)) {
    return fail(error, unknown_value(model),
                "the header uses flags or a hash, which version 1.0 reserves");
  }
  uint64_t end = sizeof(FileHeader) + uint64_t{sizeof(SectionEntry)} * model.sections.size();
  int next = 0;
  for (uint32_t i = 0; i < model.sections.size(); ++i) {
    const SectionEntry& entry = model.sections[i];
    const TypeName name(entry.type);
    const int known = known_section(entry.type);
    if (known < kKnownSections) {
      if (known != next) {
        return fail(error, Status::kCorrupt, "section %u is %s where %s has to be", i, name.text,
                    next < kKnownSections ? TypeName(static_cast<uint32_t>(kRules[next].type)).text
                                          : "nothing known");
      }
      EDGECV_TRY(judge_known(entry, i, known, limits, model, error));
      layout->offset[known] = entry.offset;
      layout->count[known] = entry.count;
      ++next;
    } else if ((entry.flags & kSectionCritical) != 0) {
      return fail(error, Status::kVersion,
                  "section %u (%s) is critical and this build does not know it", i, name.text);
    } else if (entry.flags != 0) {
      return fail(error, unknown_value(model), "section %u (%s): unknown flags %u", i, name.text,
                  entry.flags);
    }
    if (entry.offset != align_up(end) || entry.size > size || entry.offset > size - entry.size) {
      return fail(error, Status::kCorrupt,
                  "section %u (%s) lies at %" PRIu64 " with %" PRIu64
                  " bytes; it has to begin at %" PRIu64 " and end within the file",
                  i, name.text, entry.offset, entry.size, align_up(end));
    }
    end = entry.offset + entry.size;
  }
  if (next < kKnownSections) {
    return fail(error, Status::kCorrupt, "section %s is missing",
                TypeName(static_cast<uint32_t>(kRules[next].type)).text);
  }
  if (align_up(end) != size) {
    return fail(error, Status::kCorrupt, "the sections end at %" PRIu64 ", the file at %" PRIu64,
                align_up(end), size);
  }
  end = sizeof(FileHeader) + uint64_t{sizeof(SectionEntry)} * model.sections.size();
  for (uint32_t i = 0; i < model.sections.size(); ++i) {
    const SectionEntry& entry = model.sections[i];
    const uint32_t crc = crc32(0, bytes + entry.offset, static_cast<size_t>(entry.size));
    if (crc != entry.crc) {
      return fail(error, Status::kChecksum, "the CRC-32 of section %u (%s) is %08x, stored is %08x",
                  i, TypeName(entry.type).text, crc, entry.crc);
    }
  }
  for (uint32_t i = 0; i <= model.sections.size(); ++i) {
    const uint64_t next_offset = i < model.sections.size() ? model.sections[i].offset : size;
    if (!zero_bytes(bytes + end, static_cast<size_t>(next_offset - end))) {
      return fail(error, Status::kCorrupt, "the padding at %" PRIu64 " is not zero", end);
    }
    if (i < model.sections.size()) end = next_offset + model.sections[i].size;
  }
  return Status::kOk;
}

template <typename T>
Status copy_records(const uint8_t* bytes, const Layout& layout, SectionType type, Array<T>* out,
                    Error* error) {
  const int known = known_section(static_cast<uint32_t>(type));
  const uint32_t count = layout.count[known];
  if (!out->resize(count)) {
    return fail(error, Status::kOutOfMemory, "no memory for %u records of %s", count,
                TypeName(static_cast<uint32_t>(type)).text);
  }
  if (count != 0)
    memcpy(static_cast<void*>(out->data()), bytes + layout.offset[known], count * sizeof(T));
  return Status::kOk;
}

Status read(const uint8_t* bytes, uint64_t size, const Limits& limits, ParsedModel* out,
            Error* error) {
  EDGECV_TRY(judge_header(bytes, size, limits, &out->header, error));
  if (!out->sections.resize(out->header.section_count)) {
    return fail(error, Status::kOutOfMemory, "no memory for the section table");
  }
  if (!out->sections.empty()) {
    memcpy(static_cast<void*>(out->sections.data()), bytes + sizeof(FileHeader),
           out->sections.size() * sizeof(SectionEntry));
  }
  Layout layout = {};
  EDGECV_TRY(judge_sections(bytes, size, limits, *out, &layout, error));

  EDGECV_TRY(copy_records(bytes, layout, SectionType::kStrings, &out->strings, error));
  EDGECV_TRY(copy_records(bytes, layout, SectionType::kMeta, &out->meta, error));
  EDGECV_TRY(copy_records(bytes, layout, SectionType::kTensors, &out->tensors, error));
  EDGECV_TRY(copy_records(bytes, layout, SectionType::kOps, &out->ops, error));
  EDGECV_TRY(copy_records(bytes, layout, SectionType::kOperands, &out->operands, error));
  EDGECV_TRY(copy_records(bytes, layout, SectionType::kPorts, &out->ports, error));
  EDGECV_TRY(copy_records(bytes, layout, SectionType::kPreprocess, &out->preprocess, error));
  EDGECV_TRY(copy_records(bytes, layout, SectionType::kGolden, &out->goldens, error));
  EDGECV_TRY(copy_records(bytes, layout, SectionType::kDigests, &out->digests, error));

  EDGECV_TRY(judge_strings(*out, error));
  EDGECV_TRY(judge_meta(*out, limits, error));
  EDGECV_TRY(judge_tensors(out, limits, bytes + layout.offset[kKnownSections - 1],
                           layout.count[kKnownSections - 1], error));
  EDGECV_TRY(judge_preprocess(*out, error));
  EDGECV_TRY(judge_ports(out, limits, error));
  EDGECV_TRY(judge_graph(out, limits, error));
  EDGECV_TRY(judge_goldens(*out, error));
  for (uint32_t i = 0; i < out->ops.size(); ++i) {
    int64_t work = 0;
    EDGECV_TRY(judge_op(*out, i, &work, error));
    out->work += work;  // both below 2^62
    if (out->work > limits.work) {
      return fail(error, Status::kLimit,
                  "op %u '%.80s': the model needs more than %" PRId64 " multiply-accumulates", i,
                  out->op_name(i), limits.work);
    }
  }
  return Status::kOk;
}

const char* advice(Status status) {
  switch (status) {
    case Status::kNotEcv:
      return " (make one with `edgecv convert`)";
    case Status::kVersion:
      return " (update edgecv)";
    case Status::kTruncated:
    case Status::kChecksum:
      return " (the file was damaged: copy it again)";
    case Status::kCorrupt:
      return " (the file was written wrongly: convert the model again)";
    default:
      return "";
  }
}

}  // namespace

const char* op_code_name(uint16_t code) {
  switch (code) {
#define EDGECV_OP(name, value) \
  case value:                  \
    return #name;
#include "ops/op_list.inc"
#undef EDGECV_OP
    default:
      return nullptr;
  }
}

const char* ParsedModel::meta_value(const char* key) const {
  for (const MetaRecord& record : meta) {
    if (strcmp(text(record.key), key) == 0) return text(record.value);
  }
  return nullptr;
}

Status read_model(const uint8_t* bytes, size_t size, const Limits& limits, ParsedModel* out,
                  Error* error) {
  if (bytes == nullptr || reinterpret_cast<uintptr_t>(bytes) % kAlignment != 0) {
    return fail(error, Status::kInvalidArgument, "the model's bytes have to be 64-byte aligned");
  }
  const Status status = read(bytes, size, limits, out, error);
  if (status != Status::kOk && error != nullptr) {
    const size_t used = strlen(error->text);
    snprintf(error->text + used, sizeof(error->text) - used, "%s", advice(status));
  }
  return status;
}

}  // namespace edgecv::format
