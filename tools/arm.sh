#!/bin/sh
# Everything that can be proven about other CPUs without one: cross-builds the C++ code for aarch64, ARMv7 and riscv64,
# runs the tests on emulated CPUs, each of which must show the features it is known to have, compares the layers of two
# real models on all of them with those of this machine, and counts instructions. `make arm` calls it.
#
#   tools/arm.sh [build folder [target ...]]
#
# Targets: raspberry-pi-64, raspberry-pi-32, riscv64 (all of toolchains/ but those that share one of these compilers).
# PYTHON is a Python with edgecv[convert]; EDGECV_ARM_MODELS="a.ecv b.ecv" takes the place of the models it converts,
# and of the gate, whose counts are stored for those alone.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$root/build}
[ $# -gt 0 ] && shift
targets=${*:-raspberry-pi-64 raspberry-pi-32 riscv64}
jobs=${JOBS:-$(nproc 2>/dev/null || echo 2)}
python=${PYTHON:-python3}
models=${EDGECV_ARM_MODELS:-}
started=$(date +%s)
say() { echo "[$(($(date +%s) - started)) s] $*"; }

missing=""
for pair in aarch64-linux-gnu-g++:g++-aarch64-linux-gnu arm-linux-gnueabihf-g++:g++-arm-linux-gnueabihf \
  riscv64-linux-gnu-g++:g++-riscv64-linux-gnu qemu-aarch64:qemu-user; do
  command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair#*:}"
done
if [ -n "$missing" ]; then
  say "installing$missing"
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

setting() { sed -n "s/^set($2 \"*\([^\")]*\)\"*)/\1/p" "$root/toolchains/$1.cmake"; }

mkdir -p "$build"
gate=no
if [ -z "$models" ]; then
  gate=yes
  names="mobilenet-v2 efficientnet-lite0"
  say "converting $names"
  for name in $names; do # side by side
    "$python" "$root/benchmarks/arm/make_models.py" "$build/arm-models" "$name" >"$build/convert-$name.log" 2>&1 &
    models="$models $build/arm-models/$name.ecv"
  done
  wait
  for name in $names; do # a second look tells of errors: what is there is not made again
    "$python" "$root/benchmarks/arm/make_models.py" "$build/arm-models" "$name" >/dev/null 2>&1 ||
      { cat "$build/convert-$name.log"; exit 1; }
  done
fi

# Each model's digests, layer by layer: on this machine by every set of kernels it has, then on the emulated CPUs.
# "verified-<model>" gets a line for each place: how many digests, or FAILED. Kernels this machine lacks get none.
verify() { # verify <model> <place> <command>...
  list=$build/verified-$(basename "$1")
  log=$list-$(echo "$2" | tr ' ,=' '---').log
  place=$2
  shift 2
  if "$@" >"$log" 2>&1; then
    echo "$(sed -n 's/.* \([0-9][0-9]*\) digests.*/\1/p' "$log") $place" >>"$list"
  elif ! grep -qE "this (CPU|build) has no" "$log"; then
    echo "FAILED $place: $(cat "$log")" >>"$list"
  fi
}
check_verified() { # check_verified <place>...: there must be a line for each of these
  for model in $models; do
    list=$build/verified-$(basename "$model")
    for place in "$@"; do
      grep -q " $place\$" "$list" || echo "FAILED $place: no word of it" >>"$list"
    done
    if grep -qE "^(FAILED| )" "$list" || [ "$(cut -d' ' -f1 "$list" | sort -u | grep -c '^[0-9]')" -ne 1 ]; then
      echo "$model:"
      cat "$list"
      exit 1
    fi
  done
}
here=$(uname -m)
for model in $models; do
  rm -f "$build/verified-$(basename "$model")"
  for isa in reference sse41 avx2 neon; do
    verify "$model" "$here $isa" env EDGECV_FORCE_ISA=$isa "$python" -m edgecv.cli.main verify "$model"
  done &
done
wait
check_verified "$here reference"

for target in $targets; do
  folder=$build/$target
  mkdir -p "$folder"
  cmake -S "$root" -B "$folder" --toolchain "$root/toolchains/$target.cmake" -DCMAKE_BUILD_TYPE=Release \
    -DEDGECV_BUILD_TESTS=ON -DEDGECV_WERROR=ON -DEDGECV_BUILD_TOOLS=ON >"$folder/configure.log" 2>&1 ||
    { cat "$folder/configure.log"; exit 1; }
  say "$target: $(sed -n 's/.*edgecv: //p' "$folder/configure.log")"
  cmake --build "$folder" -j "$jobs" >"$folder/build.log" 2>&1 || { tail -40 "$folder/build.log"; exit 1; }
  say "$target: built; testing on $(setting "$target" EDGECV_CPUS)"
  # Among them those that install and build other projects, and run these emulated.
  ctest --test-dir "$folder" --no-tests=error -j "$jobs" --output-on-failure >"$folder/test.log" 2>&1 ||
    { grep -v " Passed " "$folder/test.log" | tail -80; exit 1; }
  sed -n '/tests passed/,$p' "$folder/test.log"
  [ "$target" != riscv64 ] || continue # the reference kernels: goldens of the tests do
  for cpu in $(setting "$target" EDGECV_CPUS | tr ';' ' '); do
    for model in $models; do # side by side
      verify "$model" "$cpu" "$(setting "$target" EDGECV_QEMU)" -cpu "$cpu" "$folder/edgecv-run" verify "$model" \
        --threads 1 &
    done
    wait
    check_verified "$cpu"
  done
done

for model in $models; do
  list=$build/verified-$(basename "$model")
  say "$(basename "$model") (sha256 $(sha256sum "$model" | cut -c1-16)): $(head -1 "$list" | cut -d' ' -f1) digests" \
    "identical on $(cut -d' ' -f2- "$list" | paste -sd ';' | sed 's/;/, /g')"
done

case "$gate $targets" in
"yes "*raspberry-pi-64*)
  say "counting instructions"
  # shellcheck disable=SC2086
  "$python" "$root/benchmarks/arm/gate.py" --library "$build/raspberry-pi-64/libedgecv.a" $models
  ;;
esac
say "done"
