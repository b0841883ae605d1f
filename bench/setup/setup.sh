#!/usr/bin/env bash
# Makes under target/bench what a run needs: the peer in a Python environment of its own, one deps.pex, the source.pex
# files that differ in one line, and a pair of pexes that runs the native echo server. Quick when all is there.
# usage: setup.sh NUMBER_OF_SOURCES
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=$root/target/bench
sources=${1:-12}
python=${BENCH_PYTHON:-/usr/bin/python3}
peer_version=1.13.27
pex_version=2.59.5 # the newest that the peer's own pex-tools was released with

say() { echo "bench setup: $*" >&2; }

# Byte code is part of what both sides are measured on.
unset PYTHONDONTWRITEBYTECODE

peer_environment() {
  local made=$out/venv/made-$peer_version-$pex_version
  [[ -f $made ]] && return
  say "installing dagster-cloud $peer_version and pex $pex_version"
  for tool in nginx "$python"; do
    command -v "$tool" >/dev/null || { say "$tool is missing: apt-get install -y nginx-light python3-venv"; exit 1; }
  done
  rm -rf "$out/venv"
  "$python" -m venv "$out/venv"
  "$out/venv/bin/pip" -q install uv
  "$out/venv/bin/uv" -q pip install --python "$out/venv/bin/python" \
    "dagster-cloud==$peer_version" "dagster-webserver==$peer_version" "pex==$pex_version"
  # Else the first run of the peer pays for compiling itself.
  "$out/venv/bin/python" -m compileall -q "$out/venv/lib" >/dev/null || true
  touch "$made"
}

requirements() {
  cat "$root/examples/dagster/requirements.txt"
  # The peer's users must ship it; so both sides carry it.
  echo "dagster-cloud==$peer_version"
}

deps_pex() {
  requirements >"$out/requirements.txt.new"
  if [[ -f $out/deps.pex ]] && cmp -s "$out/requirements.txt.new" "$out/requirements.txt"; then return; fi
  say "building deps.pex with pex (about a minute)"
  "$out/venv/bin/pex" -r "$out/requirements.txt.new" -o "$out/deps.pex" --no-strip-pex-env
  mv "$out/requirements.txt.new" "$out/requirements.txt"
}

# source-N.pex: the example with the version marker `bench-N`, which nothing else contains.
source_pexes() {
  local number tree=$out/source
  mkdir -p "$out/sources"
  for number in $(seq 1 "$sources"); do
    local pex=$out/sources/source-$number.pex
    [[ -f $pex ]] && continue
    say "building source $number of $sources"
    rm -rf "$tree" && cp -r "$root/examples/dagster/src" "$tree"
    sed -i "s/^VERSION = .*/VERSION = \"bench-$number\"/" "$tree/orders/definitions.py"
    "$out/venv/bin/pex" -D "$tree" -o "$pex" --no-strip-pex-env
  done
}

# Both servers start `python -m dagster api grpc`; this `dagster` becomes the native echo server.
echo_pexes() {
  local tree=$out/echo
  rm -rf "$tree" && mkdir -p "$tree/deps/dagster" "$tree/source/echo_source"
  cp "$here/echo_main.py" "$tree/deps/dagster/__main__.py"
  touch "$tree/deps/dagster/__init__.py" "$tree/source/echo_source/__init__.py"
  "$out/venv/bin/pex" -D "$tree/deps" -o "$out/echo-deps.pex" --no-strip-pex-env
  "$out/venv/bin/pex" -D "$tree/source" -o "$out/echo-source.pex" --no-strip-pex-env
}

mkdir -p "$out"
peer_environment
export PEX_ROOT=$out/pex-root
deps_pex
source_pexes
echo_pexes
"$out/venv/bin/python" "$here/peer_words.py" >"$out/peer-words.json"
