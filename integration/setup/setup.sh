#!/usr/bin/env bash
# Makes what the tests need, from nothing; what is there already is left as it is.
set -euo pipefail
cd "$(dirname "$0")/../.."
