#!/bin/sh
# Everything that can be proven about other CPUs without one: cross-builds the C++ tests for aarch64, ARMv7 and riscv64
# and runs them on emulated CPUs, each of which must show the features it is known to have. `make arm` calls it.
#
#   tools/arm.sh [build folder [target ...]]
#
# Targets: raspberry-pi-64, raspberry-pi-32, riscv64 (all of toolchains/ but those that share one of these compilers).
# EDGECV_ARM_MODELS="a.ecv b.ecv": edgecv-run verifies these too, layer by layer, on every emulated CPU.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$root/build}
[ $# -gt 0 ] && shift
targets=${*:-raspberry-pi-64 raspberry-pi-32 riscv64}
jobs=${JOBS:-$(nproc 2>/dev/null || echo 2)}

missing=""
for pair in aarch64-linux-gnu-g++:g++-aarch64-linux-gnu arm-linux-gnueabihf-g++:g++-arm-linux-gnueabihf \
  riscv64-linux-gnu-g++:g++-riscv64-linux-gnu qemu-aarch64:qemu-user; do
  command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair#*:}"
done
if [ -n "$missing" ]; then
  echo "installing$missing"
  sudo=""
  [ "$(id -u)" -eq 0 ] || sudo="sudo -n"
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  # shellcheck disable=SC2086
  { $sudo apt-get update -q && $sudo apt-get install -y -q --no-install-recommends $missing; } >"$log" 2>&1 || {
    cat "$log"
    rm -f "$log"
    echo "tools/arm.sh needs$missing: install them as root" >&2
    exit 1
  }
  rm -f "$log"
fi

for target in $targets; do
  folder=$build/$target
  mkdir -p "$folder"
  tools=OFF
  [ -n "${EDGECV_ARM_MODELS:-}" ] && tools=ON
  cmake -S "$root" -B "$folder" --toolchain "$root/toolchains/$target.cmake" -DCMAKE_BUILD_TYPE=Release \
    -DEDGECV_BUILD_TESTS=ON -DEDGECV_WERROR=ON -DEDGECV_BUILD_TOOLS=$tools >"$folder/configure.log" 2>&1 ||
    { cat "$folder/configure.log"; exit 1; }
  grep "edgecv: architecture" "$folder/configure.log"
  cmake --build "$folder" -j "$jobs" >"$folder/build.log" 2>&1 || { tail -40 "$folder/build.log"; exit 1; }
  # What installs and builds other projects runs natively.
  ctest --test-dir "$folder" --no-tests=error -j "$jobs" -LE install --output-on-failure >"$folder/test.log" 2>&1 ||
    { grep -v " Passed " "$folder/test.log" | tail -80; exit 1; }
  sed -n '/tests passed/,$p' "$folder/test.log"
  setting() { sed -n "s/^set($1 \"*\([^\")]*\)\"*)/\1/p" "$root/toolchains/$target.cmake"; }
  for model in ${EDGECV_ARM_MODELS:-}; do
    for cpu in $(setting EDGECV_CPUS | tr ';' ' '); do
      "$(setting EDGECV_QEMU)" -cpu "$cpu" "$folder/edgecv-run" verify "$model" --threads 1 \
        >"$folder/verify.log" 2>&1 || { echo "$cpu, $model:"; cat "$folder/verify.log"; exit 1; }
      echo "$cpu, ${model##*/}: $(tail -1 "$folder/verify.log")"
    done
  done
done
