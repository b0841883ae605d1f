#!/usr/bin/env bash
# The container tier, with a Docker daemon at hand: makes the images, then runs the tests.
set -euo pipefail
cd "$(dirname "$0")/../.."
integration/setup/images.sh
cargo nextest run --locked -p pexvisor-integration --test container
