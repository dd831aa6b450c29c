#include "kernels/cpu_features.h"

#include <string.h>

#include "kernels/kernel.h"
#include "kernels/registry.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#elif defined(__linux__)
#include <fcntl.h>
#include <sys/auxv.h>
#include <unistd.h>
#endif

#if defined(__arm__) && defined(__ARM_ARCH) && __ARM_ARCH < 7
#error "edgecv needs ARMv7 or newer: a Raspberry Pi 1 or Zero (ARMv6) is not supported"
#endif

namespace edgecv::kernels {

namespace {

struct NamedIsa {
  const char* name;
  uint32_t bits;
  uint32_t optional;  // used where the CPU has them
};

const NamedIsa kIsas[] = {
    {"reference", kIsaBaseline, 0},
    {"sse41", kIsaSse41, 0},
    {"avx2", kIsaSse41 | kIsaAvx2, kIsaFma},
    {"avxvnni", kIsaSse41 | kIsaAvx2 | kIsaAvxVnni, kIsaFma},
    {"avx512vnni", kIsaSse41 | kIsaAvx2 | kIsaAvx512Vnni, kIsaFma},
    {"neon", kIsaNeon, 0},
    {"neon_dotprod", kIsaNeon | kIsaNeonDotprod, 0},
    {"neon_i8mm", kIsaNeon | kIsaNeonDotprod | kIsaNeonI8mm, 0},
};
constexpr size_t kIsaCount = sizeof(kIsas) / sizeof(kIsas[0]);

bool has_kernels(const char* isa) {
  for (size_t i = 0; i < kernel_count(); ++i) {
    if (strcmp(kernel_at(i).isa, isa) == 0) return true;
  }
  return false;
}

}  // namespace

#if defined(__x86_64__) || defined(__i386__)

namespace {

constexpr bool bit(uint32_t word, int index) { return (word >> index & 1u) != 0; }

// Extended control register 0: the register files that the operating system saves.
uint32_t saved_registers() {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

}  // namespace

uint32_t detect_isa_bits() {
  uint32_t a, b, c, d;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return kIsaBaseline;
  uint32_t bits = kIsaBaseline;
  if (bit(c, 9) && bit(c, 19)) bits |= kIsaSse41;  // and SSSE3, which it includes
  const bool fma = bit(c, 12);
  const bool os_saves = bit(c, 27);  // OSXSAVE
  const uint32_t saved = os_saves ? saved_registers() : 0;
  constexpr uint32_t kSavesYmm = 0x06;
  constexpr uint32_t kSavesZmm = 0xE6;
  const bool avx = bit(c, 28) && (saved & kSavesYmm) == kSavesYmm;
  uint32_t b7, c7;
  if (!avx || __get_cpuid_count(7, 0, &a, &b7, &c7, &d) == 0 || !bit(b7, 5)) return bits;
  const uint32_t sub_leaves = a;
  bits |= kIsaAvx2;
  if (fma) bits |= kIsaFma;
  if (sub_leaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && bit(a, 4))
    bits |= kIsaAvxVnni;
  // AVX512F, BW, VL: what kernels for VNNI need besides it.
  const bool avx512 = bit(b7, 16) && bit(b7, 30) && bit(b7, 31) && (saved & kSavesZmm) == kSavesZmm;
  if (avx512 && bit(c7, 11)) bits |= kIsaAvx512Vnni;
  return bits;
}

#elif defined(__linux__) && defined(__aarch64__)

uint32_t detect_isa_bits() {
  // Bits of the kernel's ABI (asm/hwcap.h), spelled out because older headers lack the later ones.
  const bool asimd = (getauxval(AT_HWCAP) >> 1 & 1u) != 0;
  const bool dotprod = (getauxval(AT_HWCAP) >> 20 & 1u) != 0;
  const bool i8mm = (getauxval(AT_HWCAP2) >> 13 & 1u) != 0;
  if (!asimd) return kIsaBaseline;
  uint32_t bits = kIsaNeon;
  if (dotprod) bits |= kIsaNeonDotprod;
  if (dotprod && i8mm) bits |= kIsaNeonI8mm;
  return bits;
}

#elif defined(__linux__) && defined(__arm__)

uint32_t detect_isa_bits() {
  // As above; on 32-bit ARM the same features have other bits.
  const bool neon = (getauxval(AT_HWCAP) >> 12 & 1u) != 0;
  const bool dotprod = (getauxval(AT_HWCAP) >> 24 & 1u) != 0;
  const bool i8mm = (getauxval(AT_HWCAP) >> 27 & 1u) != 0;
  if (!neon) return kIsaBaseline;
  uint32_t bits = kIsaNeon;
  if (dotprod) bits |= kIsaNeonDotprod;
  if (dotprod && i8mm) bits |= kIsaNeonI8mm;
  return bits;
}

#elif defined(__aarch64__)

// Advanced SIMD is part of the architecture; nothing portable tells of more.
uint32_t detect_isa_bits() { return kIsaNeon; }

#else

uint32_t detect_isa_bits() { return kIsaBaseline; }

#endif

const char* isa_name(size_t index) { return index < kIsaCount ? kIsas[index].name : nullptr; }

Status isa_mask_for(const char* name, uint32_t available, uint32_t* mask, Error* error) {
  for (const NamedIsa& isa : kIsas) {
    if (strcmp(isa.name, name) != 0) continue;
    if ((isa.bits & ~available) != 0) {
      return fail(error, Status::kInvalidArgument, "this CPU has no %s", name);
    }
    if (!has_kernels(name)) {
      return fail(error, Status::kInvalidArgument, "this build has no %s kernels", name);
    }
    *mask = isa.bits | (isa.optional & available);
    return Status::kOk;
  }
  return fail(error, Status::kInvalidArgument, "unknown instruction set '%.40s'", name);
}

namespace {

// Copies `from` without its leading blanks and what follows its end, a line feed or a NUL.
void copy_line(char* text, size_t size, const char* from, size_t from_size) {
  size_t begin = 0;
  while (begin < from_size && from[begin] == ' ') ++begin;
  size_t count = 0;
  while (begin + count < from_size && from[begin + count] != '\n' && from[begin + count] != '\0')
    ++count;
  while (count > 0 && from[begin + count - 1] == ' ') --count;
  if (count > size - 1) count = size - 1;
  memcpy(text, from + begin, count);
  text[count] = '\0';
}

#if defined(__x86_64__) || defined(__i386__)

void read_model(char* text, size_t size) {
  uint32_t words[12];
  if (static_cast<uint32_t>(__get_cpuid_max(0x80000000u, nullptr)) < 0x80000004u) return;
  for (uint32_t i = 0; i < 3; ++i) {
    uint32_t* w = words + 4 * i;
    __get_cpuid(0x80000002u + i, &w[0], &w[1], &w[2], &w[3]);
  }
  copy_line(text, size, reinterpret_cast<const char*>(words), sizeof(words));
}

#elif defined(__linux__)

// The first bytes of a file; 0 when it cannot be read.
size_t read_file(const char* path, char* bytes, size_t size) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  const ssize_t count = read(file, bytes, size);
  close(file);
  return count > 0 ? static_cast<size_t>(count) : 0;
}

void read_model(char* text, size_t size) {
  char bytes[2048];
  size_t count = read_file("/sys/firmware/devicetree/base/model", bytes, sizeof(bytes));
  if (count != 0) {
    copy_line(text, size, bytes, count);
    return;
  }
  count = read_file("/proc/cpuinfo", bytes, sizeof(bytes) - 1);
  bytes[count] = '\0';
  const char* const keys[] = {"model name", "Hardware", "CPU part"};
  for (const char* key : keys) {
    const char* found = strstr(bytes, key);
    const char* colon = found != nullptr ? strchr(found, ':') : nullptr;
    if (colon == nullptr) continue;
    copy_line(text, size, colon + 1, static_cast<size_t>(bytes + count - (colon + 1)));
    return;
  }
}

#else

void read_model(char*, size_t) {}

#endif

}  // namespace

void describe_cpu(char* text, size_t size) {
  if (size == 0) return;
  text[0] = '\0';
  read_model(text, size);
  if (text[0] == '\0') copy_line(text, size, "unknown", 7);
}

}  // namespace edgecv::kernels
