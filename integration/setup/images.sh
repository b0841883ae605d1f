#!/usr/bin/env bash
# Makes the images of the container tier in the Docker daemon at hand: two bases, and pexvisor on the first of them.
#   pexvisor-test-base   the debootstrap root: Python and glibc
#   pexvisor-test-musl   no glibc, as on Alpine: where the build must end with a clear message
#   pexvisor-test        deploy/Dockerfile on pexvisor-test-base
set -euo pipefail
cd "$(dirname "$0")/../.."
made_from=pexvisor.test.made-from

# import NAME DIR MADE_FROM: the directory as an image, unless it is there and was made from the same.
import() {
    local name=$1 dir=$2 from=$3
    [ "$(docker image inspect --format "{{index .Config.Labels \"$made_from\"}}" "$name" 2>/dev/null)" != "$from" ] || return 0
    tar --create --directory "$dir" . | docker import --change "LABEL $made_from='$from'" - "$name" > /dev/null
    echo "images: imported $name"
}

musl=target/musl
if [ ! -e "$musl/root/bin/sh" ]; then
    rm -rf "$musl" && mkdir -p "$musl/root/bin"
    apt-get update -qq
    (cd "$musl" && apt-get -o APT::Sandbox::User=root download -qq musl busybox-static)
    dpkg-deb --fsys-tarfile "$musl"/musl_*.deb | tar --extract --directory "$musl/root" ./lib
    dpkg-deb --fsys-tarfile "$musl"/busybox-static_*.deb | tar --extract --directory "$musl/root" ./bin/busybox
    ln -s busybox "$musl/root/bin/uname"
    ln -s busybox "$musl/root/bin/sh"
fi

import pexvisor-test-base target/rootfs/base "$(cat target/rootfs/.made-from)"
import pexvisor-test-musl "$musl/root" "$(cd "$musl" && echo ./*.deb)"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
docker build --file deploy/Dockerfile --build-arg BASE_IMAGE=pexvisor-test-base --tag pexvisor-test target/portable > "$log" 2>&1 || {
    cat "$log"
    exit 1
}
grep check-image: "$log" || true
