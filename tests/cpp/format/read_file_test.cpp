// Golden files are read, bad files refused by name, and no truncation or bit flip of a golden file
// does harm.
#include <map>

#include "check.h"
#include "files.h"
#include "format/reader.h"

using namespace edgecv;
using format_test::Bytes;

TEST(reads_golden_files) {
  const auto names = format_test::list_files("golden");
  CHECK(names.size() >= 4);
  for (const auto& name : names) {
    WITH_CONTEXT(name);
    std::string text;
    CHECK_EQ(format_test::judge(format_test::load_file("golden/" + name), &text), Status::kOk);
    CHECK_EQ(text, "");
  }
}

// bad/<status>__<why>.ecv
TEST(refuses_bad_files_with_their_status) {
  const auto names = format_test::list_files("bad");
  CHECK(names.size() >= 20);
  for (const auto& name : names) {
    WITH_CONTEXT(name);
    std::string text;
    const Status status = format_test::judge(format_test::load_file("bad/" + name), &text);
    CHECK_EQ(std::string(status_name(status)), name.substr(0, name.find("__")));
    CHECK(!text.empty());
  }
}

TEST(a_parsed_model_holds_what_the_file_says) {
  const Bytes bytes = format_test::load_file("golden/convnet.ecv");
  edgecv_test::GuardedBuffer<uint8_t> memory(
      bytes.size());  // the file is a multiple of 64 bytes long, so this is aligned
  std::memcpy(memory.data(), bytes.data(), bytes.size());
  format::ParsedModel model(default_allocator());
  Error error;
  REQUIRE_EQ(format::read_model(memory.data(), bytes.size(), format::Limits(), &model, &error),
             Status::kOk);
  CHECK_EQ(model.input_ports, 1u);
  CHECK_EQ(model.ports.size(), size_t{3});
  CHECK_EQ(std::string(model.text(model.ports[0].name)), "image");
  CHECK_EQ(model.ports[0].perm[1], 3);
  CHECK_EQ(std::string(model.meta_value("producer")), "golden");
  CHECK(model.meta_value("missing") == nullptr);
  CHECK_EQ(model.preprocess.size(), size_t{1});
  const format::OpRecord& conv = model.ops[1];
  CHECK_EQ(std::string(format::op_code_name(conv.code)), "Conv2d");
  REQUIRE_EQ(conv.input_count, 4u);
  CHECK_EQ(model.input(conv, 1)->dims[1], 3);
  CHECK(model.input(conv, 4) == nullptr);
  const float* m = model.constant<float>(conv, 3);
  CHECK_EQ(m[0], 0.001f);
  // s32 constants are copies, the others lie in the file.
  const uint8_t* bias = reinterpret_cast<const uint8_t*>(model.constant<int32_t>(conv, 2));
  CHECK(bias < memory.data() || bias >= memory.data() + bytes.size());
  const uint8_t* weights = reinterpret_cast<const uint8_t*>(model.constant<int8_t>(conv, 1));
  CHECK(weights >= memory.data() && weights < memory.data() + bytes.size());
  CHECK_EQ(reinterpret_cast<uintptr_t>(weights) % 64, uintptr_t{0});
  CHECK_EQ(reinterpret_cast<uintptr_t>(bias) % 64, uintptr_t{0});
}

TEST(every_truncation_is_refused) {
  for (const auto& name : format_test::list_files("golden")) {
    WITH_CONTEXT(name);
    const Bytes whole = format_test::load_file("golden/" + name);
    for (size_t size = 0; size < whole.size(); size += edgecv_test::stride()) {
      CHECK_EQ(format_test::judge(whole.data(), size), Status::kTruncated);
    }
    // The header telling the truth about the size.
    for (size_t size = 0; size < whole.size(); size += edgecv_test::stride()) {
      Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      const uint64_t length = size;
      if (size >= 24) std::memcpy(cut.data() + 16, &length, 8);
      format_test::repair_checksums(&cut);
      CHECK(format_test::judge(cut) != Status::kOk);
    }
  }
}

TEST(every_bit_flip_is_refused) {
  for (const auto& name : format_test::list_files("golden")) {
    WITH_CONTEXT(name);
    Bytes bytes = format_test::load_file("golden/" + name);
    for (size_t bit = 0; bit < 8 * bytes.size(); bit += edgecv_test::stride()) {
      bytes[bit / 8] ^= static_cast<uint8_t>(1u << bit % 8);
      CHECK(format_test::judge(bytes) != Status::kOk);
      bytes[bit / 8] ^= static_cast<uint8_t>(1u << bit % 8);
    }
  }
}

// A flip can leave a good file behind (a name, a weight, a stride nobody feels): a status is all
// that is asked.
TEST(every_bit_flip_with_repaired_checksums_gives_a_status) {
  for (const auto& name : format_test::list_files("golden")) {
    WITH_CONTEXT(name);
    const Bytes whole = format_test::load_file("golden/" + name);
    std::map<std::string, int> seen;
    // Each time all constants of a coded file are decoded.
    const size_t step = edgecv_test::stride() * (name == "coded.ecv" ? 5 : 1);
    for (size_t bit = 0; bit < 8 * whole.size(); bit += step) {
      Bytes bytes = whole;
      bytes[bit / 8] ^= static_cast<uint8_t>(1u << bit % 8);
      format_test::repair_checksums(&bytes);
      std::string text;
      const Status status = format_test::judge(bytes, &text);
      CHECK_EQ(text.empty(), status == Status::kOk);
      CHECK(status <= Status::kLimit && status != Status::kInvalidArgument &&
            status != Status::kIo);
      ++seen[status_name(status)];
    }
    for (const auto& entry : seen)
      std::printf("  %s: %s %d\n", name.c_str(), entry.first.c_str(), entry.second);
  }
}

TEST(unaligned_bytes_are_an_argument_error) {
  const Bytes bytes(256, 0);
  format::ParsedModel model(default_allocator());
  const uint8_t* odd = bytes.data() + (reinterpret_cast<uintptr_t>(bytes.data()) % 2 == 0 ? 1 : 0);
  CHECK_EQ(format::read_model(odd, 64, format::Limits(), &model, nullptr),
           Status::kInvalidArgument);
}

namespace {

struct Failing {
  int left;
  static void* allocate(void* context, size_t bytes, size_t alignment) {
    Failing* self = static_cast<Failing*>(context);
    if (self->left-- <= 0) return nullptr;
    const Allocator& libc = default_allocator();
    return libc.allocate(libc.context, bytes, alignment);
  }
  static void release(void*, void* pointer) { default_allocator().release(nullptr, pointer); }
};

}  // namespace

TEST(every_failing_allocation_is_out_of_memory) {
  for (const char* name : {"golden/convnet.ecv", "golden/coded.ecv"}) {
    const Bytes bytes = format_test::load_file(name);
    edgecv_test::GuardedBuffer<uint8_t> memory(bytes.size());
    std::memcpy(memory.data(), bytes.data(), bytes.size());
    int k = 0;
    for (Status status = Status::kOutOfMemory; status != Status::kOk; ++k) {
      REQUIRE(k < 100);
      Failing failing = {k};
      const Allocator allocator = {&failing, Failing::allocate, Failing::release};
      format::ParsedModel model(allocator);
      Error error;
      status = format::read_model(memory.data(), bytes.size(), format::Limits(), &model, &error);
      if (status != Status::kOk) REQUIRE_EQ(status, Status::kOutOfMemory);
    }
    CHECK(k > 10);
  }
}
