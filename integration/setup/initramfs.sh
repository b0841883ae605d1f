#!/usr/bin/env bash
# Makes target/vm/initramfs.cpio, all that the test VM has: the debootstrap root, pexvisor and pexctl, the guest's
# scripts with a gRPC client, and the pexes it deploys. Uncompressed: the emulated machine would be slow to unpack it.
set -euo pipefail
cd "$(dirname "$0")/../.."
vm=target/vm
pexes=(tiny-deps tiny-v1 tiny-v2 eats_memory forks_orphans ignores_sigterm)

pack() {
    (cd "$1" && find . -xdev | LC_ALL=C sort | cpio --quiet --create --format=newc)
}

if [ ! "$vm/base.cpio" -nt target/rootfs/.made-from ]; then
    pack target/rootfs/base > "$vm/base.cpio.partial"
    mv "$vm/base.cpio.partial" "$vm/base.cpio"
fi

added=$vm/added
rm -rf "$added" && mkdir -p "$added"/{usr/local/bin,guest/client,pexes,store}
cp target/portable/{pexvisor,pexctl} "$added/usr/local/bin/"
cp integration/guest/init "$added/init"
cp integration/guest/*.py "$added/guest/"
cp -a target/venv/lib/python3*/site-packages/{grpc,typing_extensions.py} "$added/guest/client/"
for pex in "${pexes[@]}"; do cp "target/pexes/$pex.pex" "$added/pexes/"; done
# The kernel unpacks archives that follow each other over each other.
{ cat "$vm/base.cpio" && pack "$added"; } > "$vm/initramfs.cpio.partial"
mv "$vm/initramfs.cpio.partial" "$vm/initramfs.cpio"
