#!/usr/bin/env bash
# portable.sh GLIBC: builds pexvisor and pexctl so that they start on glibc GLIBC and newer, into target/portable, which
# is also the context that deploy/Dockerfile is built in. Zig brings the C compiler, the linker and the symbol lists of
# every glibc; a machine's own compiler would bind to the glibc it has.
set -euo pipefail
cd "$(dirname "$0")/../.."
glibc=$1
tools=target/zig
requirements="cargo-zigbuild==0.24.0 ziglang==0.17.1"
triple=x86_64-unknown-linux-gnu
profile=${PORTABLE_PROFILE:-container}
out=target/portable

integration/setup/apt.sh python3-venv binutils
if [ "$(cat "$tools/requirements" 2>/dev/null)" != "$requirements" ]; then
    echo "portable: fetching $requirements"
    rm -rf "$tools"
    /usr/bin/python3 -m venv "$tools"
    # shellcheck disable=SC2086 # one word per requirement
    "$tools/bin/pip" install --quiet $requirements
    echo "$requirements" > "$tools/requirements"
fi
PATH=$PWD/$tools/bin:$PATH cargo zigbuild --locked --profile "$profile" --target "$triple.$glibc" --bin pexvisor --bin pexctl

mkdir -p "$out"
for binary in pexvisor pexctl; do
    built=target/$triple/${profile/#dev/debug}/$binary
    needs=$(readelf --version-info --wide "$built" | grep -oE 'GLIBC_[0-9]+\.[0-9.]+' | sort --unique --version-sort | tail -n 1)
    newest=$(printf '%s\n' "GLIBC_$glibc" "$needs" | sort --version-sort | tail -n 1)
    if [ "$newest" != "GLIBC_$glibc" ]; then
        echo "portable: $binary needs $needs, promised is GLIBC_$glibc; these symbols are too new:"
        readelf --dyn-syms --wide "$built" | grep "$needs"
        exit 1
    fi
    echo "portable: $binary needs $needs at most, and $(readelf --dynamic --wide "$built" | grep -oE '\[lib[^]]*\]' | tr -d '[]' | xargs)"
    cp --update --preserve=timestamps "$built" "$out/$binary"
done
cp deploy/check-image.sh "$out/"
