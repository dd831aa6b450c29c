#!/usr/bin/env bash
# try_wheel.sh <python> <dist folder>: installs the wheel into a new environment with numpy alone, and uses it:
# import, command line, and every golden file of the tests.
set -euo pipefail
python=$1
wheels=("$(cd "$2" && pwd)"/*.whl)
root=$(cd "$(dirname "$0")/.." && pwd)
environment=$(mktemp -d)
trap 'rm -rf "$environment"' EXIT
"$python" -m venv "$environment"
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check "${wheels[0]}"
cd "$environment" # away from the source tree
bin/python - <<'PYTHON'
import importlib.util
import sys

import edgecv

assert "site-packages" in edgecv.__file__, edgecv.__file__
for name in ("onnx", "onnxruntime", "PIL", "rich"):
    assert name not in sys.modules, f"import edgecv loads {name}"
    assert importlib.util.find_spec(name) is None, f"{name} came with a plain installation"
print("edgecv", edgecv.__version__, "imports with numpy alone")
PYTHON
bin/edgecv --version
bin/edgecv info
shopt -s nullglob
for file in "$root"/tests/data/golden/*.ecv; do
  bin/edgecv verify "$file"
done
