#!/usr/bin/env bash
# run_fuzzers.sh <build folder> <seconds>: runs every libFuzzer target that long on its corpus.
# A target tests/fuzz/<name>_fuzz.cpp reads seeds from tests/fuzz/corpus/<name> when that folder exists;
# what it finds is kept under <build folder>/corpus/<name>.
set -euo pipefail
build=$1
seconds=$2
root=$(cd "$(dirname "$0")/.." && pwd)
shopt -s nullglob
sources=("$root"/tests/fuzz/*_fuzz.cpp)
if [ "${#sources[@]}" -eq 0 ]; then
  echo "no fuzz targets in tests/fuzz"
  exit 0
fi
for source in "${sources[@]}"; do
  target=$(basename "$source" .cpp)
  name=${target%_fuzz}
  corpus="$build/corpus/$name"
  mkdir -p "$corpus"
  folders=("$corpus")
  [ -d "$root/tests/fuzz/corpus/$name" ] && folders+=("$root/tests/fuzz/corpus/$name")
  echo "fuzzing $target for $seconds s"
  "$build/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$build/" "${folders[@]}" 2>"$build/$target.log" \
    || { tail -60 "$build/$target.log"; exit 1; }
  grep -E 'number_of_executed_units' "$build/$target.log"
done
