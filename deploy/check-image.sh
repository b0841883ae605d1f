#!/bin/sh
# Run while the image is built: does pexvisor start on this base image? If not, the build ends here and says why, where
# the loader alone would say "not found" or "version not found" at the first start. Plain POSIX sh, no tools assumed.
pexvisor=${1:-/usr/local/bin/pexvisor}
promised=2.28

if output=$("$pexvisor" --version 2>&1); then
    echo "check-image: $output starts on this image"
    for python in /usr/local/bin/python3 /usr/bin/python3; do
        [ ! -x "$python" ] || exit 0
    done
    echo "check-image: note: no python3 in /usr/local/bin or /usr/bin; a deploy then names its interpreter itself"
    exit 0
fi

echo "check-image: pexvisor does not start on this base image."
case $output in
    *GLIBC_*)
        echo "check-image: its glibc is older than $promised. Use a base of Debian 10, Ubuntu 18.10, RHEL 8 or newer."
        echo "$output"
        exit 1
        ;;
esac
for loader in /lib/ld-musl-*; do
    if [ -e "$loader" ]; then
        echo "check-image: this is a musl image (Alpine?). pexvisor needs glibc $promised or newer, and so do most Python"
        echo "check-image: wheels with native code. Use a glibc base such as python:3.11-slim."
        exit 1
    fi
done
case $(uname -m) in
    x86_64 | amd64) echo "check-image: no known cause fits; what the attempt said:" ;;
    *) echo "check-image: this image runs on $(uname -m); this pexvisor is for x86_64. What the attempt said:" ;;
esac
echo "$output"
exit 1
