#!/bin/sh
# Make in .peers/models (or $PEERS_ROOT/models) whatever is missing of the networks in $MODELS
# (comma-separated; default: all), for the rivals. About five minutes and 2 GB from nothing.
set -e
here=$(cd "$(dirname "$0")" && pwd)
root=${PEERS_ROOT:-$here/../../.peers}
models=$root/models
names=${MODELS:-all}
if [ "$names" = all ]; then
  names=$("$root/venv/bin/python" -c \
    "import sys; sys.path.insert(0, '$here'); import networks; print(','.join(networks.EVERYTHING))")
fi
for name in $(echo "$names" | tr , ' '); do
  if [ ! -f "$models/$name.int8.tflite" ] || [ ! -f "$models/info.json" ]; then
    [ -x "$root/venv-tf/bin/python" ] && [ -x "$root/venv/bin/pnnx" ] || "$here/setup.sh" --models
    "$root/venv/bin/python" "$here/make_torch.py" --folder "$models" --models "$name"
    "$root/venv-tf/bin/python" "$here/make_tflite.py" --folder "$models" --models "$name"
  fi
done
