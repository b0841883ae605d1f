#!/usr/bin/env bash
# Makes what the tests need, from nothing; what is there already is left as it is.
set -euo pipefail
cd "$(dirname "$0")/../.."
unset PYTHONDONTWRITEBYTECODE
mkdir -p target
# Two runs at once (two tiers, two shells) would build into each other.
exec 9>target/setup.lock
flock 9
integration/setup/packages.sh
integration/setup/venvs.sh
integration/setup/pexes.sh
install/tests/make_pexes.sh target/pexes/differential
