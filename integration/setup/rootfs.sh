#!/usr/bin/env bash
# Makes target/rootfs/base: the smallest Debian with a Python and CA certificates, which stands in for the image that a
# user would build on. The container tier imports it as an image, the VM tier boots it. Made once: the stamp names what
# it was made from.
set -euo pipefail
cd "$(dirname "$0")/../.."
suite=bookworm
packages=python3,ca-certificates
dir=target/rootfs
stamp=$dir/.made-from
want="$suite $packages $(sha256sum "$0" | cut -c1-16)"
[ "$(cat "$stamp" 2>/dev/null)" != "$want" ] || exit 0

integration/setup/apt.sh debootstrap
echo "rootfs: debootstrap $suite with $packages (about a minute)"
rm -rf "$dir" && mkdir -p "$dir"
debootstrap --variant=minbase --include="$packages" "$suite" "$dir/base" > "$dir/debootstrap.log" 2>&1 || {
    tail -n 20 "$dir/debootstrap.log"
    exit 1
}
# What no test reads and every boot of the VM would have to unpack.
rm -rf "$dir"/base/var/{cache/apt,lib/apt/lists}/* "$dir"/base/usr/share/{doc,man,info,locale,zoneinfo}/* "$dir"/base/var/log/*
echo "$want" > "$stamp"
du -sh "$dir/base" | sed 's/^/rootfs: /'
