#!/usr/bin/env bash
# Builds the test pexes into target/pexes/ with the real pex tool; a pex whose sources have not changed is left alone.
# usage: pexes.sh            environments as made by venvs.sh
set -euo pipefail
script=$(realpath "$0")
cd "$(dirname "$script")/../.."
fixtures=$PWD/integration/fixtures out=$PWD/target/pexes work=$PWD/target/pexes/.work
pex=$PWD/target/venv/bin/pex python=/usr/bin/python3
mkdir -p "$out" "$work"

# build NAME SOURCES… -- COMMAND…: runs COMMAND, which must write $work/NAME.pex, unless SOURCES and it are as they were.
build() {
    local name=$1 sources=() stamp
    shift
    while [ "$1" != -- ]; do sources+=("$1"); shift; done
    shift
    stamp=$({ printf '%s\n' "$@"; find "$script" "${sources[@]}" -type f -not -name '*.pyc' -print0 | sort -z | xargs -0 cat; } | sha256sum)
    if [ -f "$out/$name.pex" ] && [ "$(cat "$work/$name.stamp" 2>/dev/null)" = "$stamp" ]; then return; fi
    echo "pex $name"
    "$@" >/dev/null
    mv "$work/$name.pex" "$out/$name.pex"
    echo "$stamp" >"$work/$name.stamp"
}

# from_venv NAME REQUIREMENT…: dependencies resolved by uv and packed by pex out of that environment: seconds, where pex's
# own resolve takes a minute. Wheel files, uncompressed.
from_venv() {
    local name=$1
    shift
    rm -rf "$work/$name-venv"
    target/uv/bin/uv -q venv --python "$python" "$work/$name-venv"
    target/uv/bin/uv -q pip install --python "$work/$name-venv/bin/python" "$@"
    "$pex" --venv-repository "$work/$name-venv" --no-compress --no-pre-install-wheels "$@" -o "$work/$name.pex"
}

# tiny NAME MARKER FOLDER… [-- PEX OPTION…]: the tiny server's source, answering MARKER, with the modules in FOLDERs.
tiny() {
    local name=$1 marker=$2 dirs=()
    shift 2
    while [ $# -gt 0 ] && [ "$1" != -- ]; do dirs+=(-D "$fixtures/$1"); shift; done
    [ $# -eq 0 ] || shift
    rm -rf "$work/$name-src" && mkdir "$work/$name-src"
    echo "MARKER = \"$marker\"" >"$work/$name-src/tiny_version.py"
    "$pex" --python "$python" -D "$work/$name-src" "${dirs[@]}" "$@" -o "$work/$name.pex"
}

hostile() {
    rm -rf "$out/hostile"
    "$python" integration/setup/hostile.py "$out/tiny-v1.pex" "$out/hostile"
    cp "$out/hostile/bomb.pex" "$work/hostile.pex"
}

build tiny-deps -- from_venv tiny-deps grpcio grpcio-health-checking
for version in v1 v2 v3; do
    build "tiny-$version" "$fixtures/tiny" -- tiny "tiny-$version" "$version" tiny
done
build tiny-entry-point "$fixtures/tiny" -- tiny tiny-entry-point entry-point tiny -- -e tiny_server:main
for fixture in never_ready never_healthy exits_at_once raises_at_import killed_at_start ignores_sigterm forks_orphans \
    eats_memory floods_stdout swaps_socket slow_start; do
    build "$fixture" "$fixtures/tiny" "$fixtures/$fixture" -- tiny "$fixture" "$fixture" tiny "$fixture"
done
build dagster-deps -- from_venv dagster-deps dagster==1.13.27
for version in v1 v2; do
    build "dagster-$version" "$fixtures/dagster" -- tiny "dagster-$version" "$version" dagster
done
# One small compiled wheel that no interpreter here can run.
build foreign-python -- "$pex" --platform manylinux2014_x86_64-cp-36-cp36m markupsafe==2.0.1 -o "$work/foreign-python.pex"
build foreign-platform -- "$pex" --platform macosx_11_0_universal2-cp-311-cp311 markupsafe==3.0.2 -o "$work/foreign-platform.pex"

# The good source made bad in one way each; the last of them stands for all.
build hostile "$script" integration/setup/hostile.py "$fixtures/tiny" -- hostile
