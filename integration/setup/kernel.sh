#!/usr/bin/env bash
# Puts a kernel at target/vm/vmlinuz: Debian's cloud kernel, taken out of its package and never installed here.
set -euo pipefail
cd "$(dirname "$0")/../.."
dir=target/vm
[ ! -s "$dir/vmlinuz" ] || exit 0

mkdir -p "$dir"
# The package lists of a fresh machine are empty or old.
apt-get update -qq
package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)
echo "kernel: taking vmlinuz out of $package"
unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT
(cd "$unpacked" && apt-get -o APT::Sandbox::User=root download -qq "$package" && dpkg-deb --extract ./*.deb root)
cp "$unpacked"/root/boot/vmlinuz-* "$dir/vmlinuz.partial"
mv "$dir/vmlinuz.partial" "$dir/vmlinuz"
