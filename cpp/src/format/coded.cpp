#include "format/coded.h"

#include <string.h>

#include "base/array.h"

namespace edgecv::format {
namespace {

constexpr uint32_t kTotalBits = 12;
constexpr uint32_t kTotal = 1u << kTotalBits;  // what the frequencies of a table sum to
constexpr uint32_t kLeastState = 1u << 16;
constexpr int kMaxLanesLog2 = 8;
constexpr int kMaxClasses = 16;

enum Mapping : uint8_t { kIntegers, kTensorCodebook, kRowCodebook };
enum Packing : uint8_t { kFixed, kRans };

struct Header {
  uint8_t mapping;
  uint8_t packing;
  uint8_t width;
  uint8_t sparse;
  uint16_t codes;
  uint8_t classes;
  uint8_t lanes_log2;
  uint32_t symbols;
  uint8_t class_axis;
  uint8_t reserved[3];
};
static_assert(sizeof(Header) == kCodedHeaderBytes, "docs/format.md");

// What 12 bits of a state stand for: the symbol (8 bits), its frequency minus 1 (12), and how far
// the slot is from the first of its symbol (12).
using Slot = uint32_t;
constexpr int kBlock = 8;  // symbols that are decoded at a time

Slot slot_of(uint32_t symbol, uint32_t frequency, uint32_t bias) {
  return symbol | (frequency - 1) << 8 | bias << 20;
}
uint32_t next_state(Slot slot, uint32_t state) {
  return ((slot >> 8 & (kTotal - 1)) + 1) * (state >> kTotalBits) + (slot >> 20);
}

uint32_t load_u16(const uint8_t* p) { return p[0] | static_cast<uint32_t>(p[1]) << 8; }
uint32_t load_u32(const uint8_t* p) { return load_u16(p) | load_u16(p + 2) << 16; }
bool bit_at(const uint8_t* bits, int64_t i) { return (bits[i >> 3] >> (i & 7) & 1) != 0; }

class Decoder {
 public:
  Decoder(const CodedTensor& tensor, const Allocator& allocator)
      : tensor_(tensor),
        left_(tensor.size),
        at_(tensor.bytes),
        slots_(allocator),
        symbols_(allocator),
        states_() {}

  Status run(Status unknown, uint8_t* out, const char** rule) {
    rule_ = rule;
    memcpy(&header_, take(kCodedHeaderBytes), kCodedHeaderBytes);
    const Header& h = header_;
    if (h.mapping > kRowCodebook || h.packing > kRans || h.sparse > 1 || h.class_axis > 1 ||
        h.reserved[0] != 0 || h.reserved[1] != 0 || h.reserved[2] != 0) {
      *rule = "coded in an unknown way";
      return unknown;
    }
    EDGECV_TRY(judge_fields());
    EDGECV_TRY(find_parts());
    if (!symbols_.resize(h.symbols)) return no_memory();
    EDGECV_TRY(h.packing == kFixed ? unpack_fixed() : unpack_rans());
    return expand(out);
  }

 private:
  Status corrupt(const char* rule) {
    *rule_ = rule;
    return Status::kCorrupt;
  }

  Status no_memory() {
    *rule_ = "no memory to decode it";
    return Status::kOutOfMemory;
  }

  // The next `size` bytes, null when there are not so many.
  const uint8_t* take(uint64_t size) {
    if (size > left_) return nullptr;
    const uint8_t* part = at_;
    at_ += size;
    left_ -= size;
    return part;
  }

  Status judge_fields() {
    const Header& h = header_;
    const bool s8 = tensor_.element_bytes == 1;
    if (h.width < 1 || h.width > 8) return corrupt("symbols of no width from 1 to 8");
    if (h.mapping == kIntegers ? h.codes != 0 || !s8
                               : h.codes < 1 || h.codes > uint32_t{1} << h.width) {
      return corrupt("a codebook that does not fit its symbols");
    }
    if (h.packing == kRans
            ? h.classes < 1 || h.classes > kMaxClasses || h.lanes_log2 > kMaxLanesLog2
            : h.classes != 0 || h.lanes_log2 != 0) {
      return corrupt("numbers of classes or lanes that do not fit its packing");
    }
    if (h.class_axis != 0 && (h.classes < 2 || h.sparse != 0)) {
      return corrupt("classes of columns without columns");
    }
    if (h.sparse == 0 ? h.symbols != tensor_.elements : h.symbols > tensor_.elements) {
      return corrupt("a number of symbols that does not fit its elements");
    }
    return Status::kOk;
  }

  Status find_parts() {
    const Header& h = header_;
    if (h.mapping != kIntegers) {
      const uint64_t books = h.mapping == kRowCodebook ? static_cast<uint64_t>(tensor_.rows) : 1;
      codebook_ = take(books * h.codes * static_cast<uint64_t>(tensor_.element_bytes));
      if (codebook_ == nullptr) return corrupt("its data end within the codebook");
    }
    if (h.sparse != 0) {
      bitmap_ = take((static_cast<uint64_t>(tensor_.elements) + 7) / 8);
      if (bitmap_ == nullptr) return corrupt("its data end within the bitmap");
      const int used = static_cast<int>(tensor_.elements & 7);
      if (used != 0 && bitmap_[tensor_.elements >> 3] >> used != 0) {
        return corrupt("bits of the bitmap behind its elements");
      }
      if (ones(0, tensor_.elements) != h.symbols) {
        return corrupt("a bitmap of another number of symbols");
      }
    }
    if (h.classes > 1) {
      classified_ = h.class_axis == 0 ? tensor_.rows : tensor_.columns;
      classes_ = take((static_cast<uint64_t>(classified_) + 1) / 2);
      if (classes_ == nullptr) return corrupt("its data end within the classes");
      for (int64_t i = 0; i < (classified_ + 1) / 2 * 2; ++i) {
        if (i < classified_ ? class_of(i) >= h.classes : class_of(i) != 0) {
          return corrupt("a class that has no table");
        }
      }
    }
    return Status::kOk;
  }

  int64_t ones(int64_t begin, int64_t end) const {
    int64_t count = 0;
    int64_t i = begin;
    for (; i < end && (i & 7) != 0; ++i) count += bit_at(bitmap_, i);
    for (; i + 8 <= end; i += 8) count += __builtin_popcount(bitmap_[i >> 3]);
    for (; i < end; ++i) count += bit_at(bitmap_, i);
    return count;
  }

  uint32_t class_of(int64_t i) const { return classes_[i >> 1] >> (i & 1) * 4 & 15u; }

  Status unpack_fixed() {
    const Header& h = header_;
    const uint64_t bits = uint64_t{h.symbols} * h.width;
    const uint64_t size = (bits + 7) / 8;
    const uint8_t* p = take(size);
    if (p == nullptr || left_ != 0) return corrupt("symbols of another size than its data");
    const uint32_t mask = (1u << h.width) - 1;
    uint32_t held = 0;
    uint32_t count = 0;
    uint64_t next = 0;
    for (uint8_t& symbol : symbols_) {
      if (count < h.width) {
        held |= uint32_t{p[next++]} << count;
        count += 8;
      }
      symbol = static_cast<uint8_t>(held & mask);
      held >>= h.width;
      count -= h.width;
    }
    if (held != 0) return corrupt("bits behind its symbols");
    return Status::kOk;
  }

  // The slots of every class.
  Status read_tables() {
    const uint32_t alphabet =
        header_.mapping == kIntegers ? 1u << header_.width : uint32_t{header_.codes};
    if (!slots_.resize(size_t{header_.classes} * kTotal)) return no_memory();
    Slot* slot = slots_.data();
    for (int k = 0; k < header_.classes; ++k) {
      const uint8_t* head = take(2);
      if (head == nullptr) return corrupt("its data end within a table");
      const uint32_t first = head[0];
      const uint32_t count = head[1] + 1u;
      if (first + count > alphabet) return corrupt("a table of symbols there are not");
      uint32_t left = kTotal;
      for (uint32_t s = first; s < first + count; ++s) {
        const uint8_t* byte = take(1);
        if (byte == nullptr) return corrupt("its data end within a table");
        uint32_t frequency = *byte;
        if (frequency >= 128) {
          byte = take(1);
          if (byte == nullptr) return corrupt("its data end within a table");
          frequency = (frequency & 127) << 8 | *byte;
        }
        if (frequency > left) return corrupt("frequencies that do not sum to 4096");
        left -= frequency;
        for (uint32_t i = 0; i < frequency; ++i) {
          *slot++ = slot_of(s, frequency, i);
        }
      }
      if (left != 0) return corrupt("frequencies that do not sum to 4096");
    }
    return Status::kOk;
  }

  Status unpack_rans() {
    EDGECV_TRY(read_tables());
    const uint32_t lanes = 1u << header_.lanes_log2;
    const uint8_t* starts = take(lanes * 4);
    if (starts == nullptr || left_ % 2 != 0)
      return corrupt("streams of another size than its data");
    for (uint32_t i = 0; i < lanes; ++i) {
      states_[i] = load_u32(starts + 4 * i);
      if (states_[i] < kLeastState) return corrupt("a stream that begins below 65536");
    }
    if (header_.class_axis != 0) {
      for (int64_t i = 0; i < tensor_.elements;) {
        for (int64_t c = 0; c < tensor_.columns; ++c, ++i) {
          if (!decode_run(i, i + 1, class_of(c))) return corrupt("a stream that ends too early");
        }
      }
    } else if (header_.classes > 1) {
      const int64_t row = tensor_.elements / tensor_.rows;
      int64_t begin = 0;
      for (int64_t r = 0; r < tensor_.rows; ++r) {
        int64_t end = begin + (header_.sparse == 0 ? row : ones(r * row, (r + 1) * row));
        if (end > header_.symbols) end = header_.symbols;
        if (!decode_run(begin, end, class_of(r))) return corrupt("a stream that ends too early");
        begin = end;
      }
    } else if (!decode_run(0, header_.symbols, 0)) {
      return corrupt("a stream that ends too early");
    }
    for (uint32_t i = 0; i < lanes; ++i) {
      if (states_[i] != kLeastState) return corrupt("a stream that does not end at 65536");
    }
    return left_ == 0 ? Status::kOk : corrupt("words behind its streams");
  }

  // Symbols [begin, end), all of one class; false when the words run out.
  bool decode_run(int64_t begin, int64_t end, uint32_t of_class) {
    // A class may have changed under the mapping since it was judged.
    const Slot* slots = slots_.data() + size_t{of_class < header_.classes ? of_class : 0} * kTotal;
    const uint32_t mask = (1u << header_.lanes_log2) - 1;
    uint8_t* symbols = symbols_.data();
    const uint8_t* at = at_;
    const uint8_t* const last = at_ + left_;
    int64_t i = begin;
    while (i < end) {
      if ((i & (kBlock - 1)) == 0 && mask >= kBlock - 1 && end - i >= kBlock &&
          last - at >= 2 * kBlock) {
        at = decode_block(slots, states_ + (static_cast<uint32_t>(i) & mask), at, symbols + i);
        i += kBlock;
        continue;
      }
      uint32_t& state = states_[static_cast<uint32_t>(i) & mask];
      const Slot slot = slots[state & (kTotal - 1)];
      symbols[i++] = static_cast<uint8_t>(slot);
      state = next_state(slot, state);
      if (state < kLeastState) {
        if (at == last) return false;
        state = state << 16 | load_u16(at);
        at += 2;
      }
    }
    left_ = static_cast<uint64_t>(last - at);
    at_ = at;
    return true;
  }

  // kBlock symbols of as many lanes, without branches: about every third one reads a word. Returns
  // where the next word is.
  static const uint8_t* decode_block(const Slot* slots, uint32_t* states, const uint8_t* at,
                                     uint8_t* symbols) {
    uint8_t found[kBlock];
    for (int k = 0; k < kBlock; ++k) {
      const uint32_t state = states[k];
      const Slot slot = slots[state & (kTotal - 1)];
      const uint32_t x = next_state(slot, state);
      const uint32_t low = x < kLeastState;
      found[k] = static_cast<uint8_t>(slot);
      states[k] = x << low * 16 | (load_u16(at) & (0 - low));
      at += low * 2;
    }
    memcpy(symbols, found, kBlock);
    return at;
  }

  // Symbols to elements.
  Status expand(uint8_t* out) const {
    const Header& h = header_;
    uint32_t highest = 0;
    for (const uint8_t symbol : symbols_) highest = symbol > highest ? symbol : highest;
    if (h.mapping != kIntegers && !symbols_.empty() && highest >= h.codes) {
      *rule_ = "a symbol behind its codebook";
      return Status::kCorrupt;
    }
    if (h.mapping == kIntegers && h.sparse == 0) {
      const uint8_t zero = static_cast<uint8_t>(1u << (h.width - 1));
      const uint8_t* from = symbols_.data();
      for (int64_t i = 0; i < tensor_.elements; ++i) out[i] = static_cast<uint8_t>(from[i] - zero);
      return Status::kOk;
    }
    const int64_t row = tensor_.elements / tensor_.rows;
    const int64_t book = h.mapping == kRowCodebook ? h.codes * tensor_.element_bytes : 0;
    const uint8_t* symbol = symbols_.data();
    const uint8_t* const end = symbol + symbols_.size();
    for (int64_t r = 0; r < tensor_.rows; ++r) {
      const uint8_t* codes = codebook_ + r * book;
      for (int64_t i = r * row; i < (r + 1) * row; ++i) {
        uint8_t* element = out + i * tensor_.element_bytes;
        if (symbol == end || (h.sparse != 0 && !bit_at(bitmap_, i))) {
          memset(element, 0, static_cast<size_t>(tensor_.element_bytes));
        } else if (h.mapping == kIntegers) {
          *element = static_cast<uint8_t>(*symbol++ - (1u << (h.width - 1)));
        } else if (tensor_.element_bytes == 1) {
          *element = codes[*symbol++];
        } else {
          memcpy(element, codes + *symbol++ * 4, 4);
        }
      }
    }
    return Status::kOk;
  }

  const CodedTensor& tensor_;
  Header header_ = {};
  uint64_t left_;
  const uint8_t* at_;
  const char** rule_ = nullptr;
  const uint8_t* codebook_ = nullptr;
  const uint8_t* bitmap_ = nullptr;
  const uint8_t* classes_ = nullptr;
  int64_t classified_ = 0;  // how many rows or columns have a class
  Array<Slot> slots_;
  Array<uint8_t> symbols_;
  uint32_t states_[1 << kMaxLanesLog2];
};

}  // namespace

Status decode(const CodedTensor& tensor, Status unknown, const Allocator& allocator, uint8_t* out,
              const char** rule) {
  Decoder decoder(tensor, allocator);
  return decoder.run(unknown, out, rule);
}

}  // namespace edgecv::format
