#!/bin/sh
# Make .peers/venv (or $PEERS_ROOT/venv): the runtimes that edgecv is compared with, pinned, and this edgecv.
set -e
project=$(cd "$(dirname "$0")/../.." && pwd)
root=${PEERS_ROOT:-$project/.peers}
mkdir -p "$root"
[ -x "$root/venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$root/venv"
"$root/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  onnx==1.23.2 onnxruntime==1.31.1 openvino==2026.4.1 numpy==2.4.6 pillow==13.0.0
if [ "$1" != "--rivals-only" ]; then
  "$root/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$project"
fi
echo "ready: $root/venv/bin/python"
