#!/usr/bin/env bash
# The wheels of ARM boards in a Python of theirs, emulated: each is unpacked into a Debian of its architecture, with that
# Debian's numpy, and must give the digests that this machine's edgecv gives: of every layer (verify), of a generated
# input and of two photographs.
#
#   tools/arm_python.sh [folder of wheels [architecture ...]]        (dist; aarch64 armv7l)
#
# PYTHON is a Python with edgecv[convert]; EDGECV_BOARD_MODEL=a.ecv takes the place of EfficientNet-Lite0, which it converts.
# EDGECV_BOARD_ROOTS keeps the Debians (build/boards), 110 MB each. Needs no root rights once mmdebstrap and qemu-user are
# there: nothing is configured or chrooted into.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
dist=$(cd "${1:-$root/dist}" && pwd)
[ $# -gt 0 ] && shift
architectures=("$@")
[ $# -gt 0 ] || architectures=(aarch64 armv7l)
python=${PYTHON:-python3}
roots=${EDGECV_BOARD_ROOTS:-$root/build/boards}
mkdir -p "$roots"
started=$SECONDS
say() { echo "[$((SECONDS - started)) s] $*"; }

missing=()
command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
command -v qemu-aarch64 >/dev/null || missing+=(qemu-user)
if [ "${#missing[@]}" -gt 0 ]; then
  say "installing ${missing[*]}"
  sudo=()
  [ "$(id -u)" -eq 0 ] || sudo=(sudo -n)
  { DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get update -q &&
    DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}"; } \
    >"$roots/apt.log" 2>&1 || { cat "$roots/apt.log"; exit 1; }
fi

model=${EDGECV_BOARD_MODEL:-}
if [ -z "$model" ]; then
  say "converting EfficientNet-Lite0"
  "$python" "$root/benchmarks/arm/make_models.py" "$roots/models" efficientnet-lite0 >"$roots/convert.log" 2>&1 ||
    { cat "$roots/convert.log"; exit 1; }
  model=$roots/models/efficientnet-lite0.ecv
fi
# Decoded here: a board's Debian would need Pillow for that.
"$python" - "$roots" <<'PYTHON'
import sys

import numpy as np
from edgecv import zoo
from edgecv.images import read_image

for name, path in zoo.demo_pictures().items():
    np.save(f"{sys.argv[1]}/{name}.npy", read_image(path))
PYTHON
pictures=("$roots/coffee.npy" "$roots/chelsea.npy")
"$python" "$root/tools/board_digest.py" "$model" "${pictures[@]}" >"$roots/here.txt"

for architecture in "${architectures[@]}"; do
  case $architecture in
    aarch64) debian=arm64 triple=aarch64-linux-gnu emulator=qemu-aarch64 cpus="cortex-a53 cortex-a76" ;;
    armv7l) debian=armhf triple=arm-linux-gnueabihf emulator=qemu-arm cpus=cortex-a7 ;;
    *) echo "no such architecture: $architecture" >&2; exit 2 ;;
  esac
  board=$roots/$debian
  if [ ! -e "$board/ready" ]; then
    say "making a Debian of $debian"
    rm -rf "$board"
    # From where this machine takes its own packages, and that release alone: updates of it may lag behind elsewhere.
    mirror=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' | sed -n 's/^bookworm //p' |
      sort -u | head -1)
    mmdebstrap --variant=extract --architectures="$debian" --include=python3,python3-numpy,libstdc++6 \
      bookworm "$board" ${mirror:+"deb $mirror bookworm main"} >"$roots/$debian.log" 2>&1 || { cat "$roots/$debian.log"; exit 1; }
    touch "$board/ready"
  fi
  interpreter=$(cd "$board/usr/bin" && ls -d python3.*[0-9] | head -1)
  tag=cp3${interpreter#python3.}
  wheel=("$dist"/edgecv-*-"$tag"-*manylinux*_"$architecture".whl)
  [ -e "${wheel[0]}" ] || { echo "$dist holds no wheel for $tag on $architecture" >&2; exit 1; }
  package=$board/opt/edgecv
  rm -rf "$package"
  "$python" -m zipfile -e "${wheel[0]}" "$package"
  # Not configured, the Debian lacks the links to these libraries of numpy's; by LD_LIBRARY_PATH the emulated loader of
  # 32-bit ARM does not find them.
  for library in blas lapack; do
    ln -sf "$library/lib$library.so.3" "$board/usr/lib/$triple/"
  done
  for cpu in $cpus; do
    "$emulator" -L "$board" -cpu "$cpu" -E "PYTHONPATH=$package" -E PYTHONHOME="$board/usr" -E PYTHONDONTWRITEBYTECODE=1 \
      "$board/usr/bin/$interpreter" "$root/tools/board_digest.py" "$model" "${pictures[@]}" \
      >"$roots/$architecture-$cpu.txt" 2>"$roots/$architecture-$cpu.log" ||
      { cat "$roots/$architecture-$cpu.log" "$roots/$architecture-$cpu.txt"; exit 1; }
    if ! diff "$roots/here.txt" "$roots/$architecture-$cpu.txt"; then
      echo "${wheel[0]##*/} on $cpu answers otherwise than this machine" >&2
      exit 1
    fi
    say "$cpu: $(tail -1 "$roots/$architecture-$cpu.log"): $(wc -l <"$roots/here.txt") lines of digests as here"
  done
done
