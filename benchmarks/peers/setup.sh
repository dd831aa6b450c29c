#!/bin/sh
# Make .peers (or $PEERS_ROOT): environments with the runtimes that edgecv is compared with, pinned.
#   setup.sh                 what running needs, and this edgecv
#   setup.sh --rivals-only   the same without edgecv
#   setup.sh --models        also what making the models needs (torch, TensorFlow)
set -e
project=$(cd "$(dirname "$0")/../.." && pwd)
root=${PEERS_ROOT:-$project/.peers}
python=${PYTHON:-python3}
mkdir -p "$root/models" "$root/logs" "$root/results"

install() { # install ENVIRONMENT PACKAGE...
  venv=$root/$1
  shift
  [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
}

install venv onnx==1.23.2 onnxruntime==1.31.1 openvino==2026.4.1 ncnn==1.0.20261020 MNN==3.6.1 \
  ai-edge-litert==2.3.0 opencv-python-headless==5.0.0.93 numpy==2.4.6 pillow==13.0.0
if [ "$1" = "--models" ]; then
  install venv torch==2.13.0
  install venv --no-deps pnnx==20261020
  install venv-tf tensorflow-cpu==2.21.0
fi
[ "$1" = "--rivals-only" ] || install venv "$project"
echo "ready: $root/venv/bin/python"
