#!/usr/bin/env bash
# What the tests need of the machine: a C compiler, Python with venv, the test runner.
set -euo pipefail
"$(dirname "$0")/apt.sh" build-essential python3 python3-venv
command -v cargo-nextest >/dev/null || cargo install --quiet --locked cargo-nextest
