#!/usr/bin/env bash
# with-docker.sh COMMAND...: runs the command with a Docker daemon to talk to. One that runs already is used as it is;
# else one is started with its images under target/docker, and stopped afterwards with what it had started.
set -euo pipefail
cd "$(dirname "$0")/../.."
# A daemon of version 20.10 is what must do; no BuildKit there.
export DOCKER_BUILDKIT=0
start_s_max=60

integration/setup/apt.sh docker.io docker-compose iptables iproute2
if docker info > /dev/null 2>&1; then
    echo "docker: using the daemon that runs"
    "$@"
    exit
fi

dir=$PWD/target/docker
mkdir -p "$dir/data"
# Not under target/: the path of a socket may have 108 bytes at most, and a checkout may lie deep.
run=$(mktemp -d /tmp/pexvisor-docker.XXXXXX)
export DOCKER_HOST=unix://$run/docker.sock
bridge_was_there=$(ip link show docker0 2>/dev/null || true)
# Ports of containers are published by Docker's own proxy: no rule of this machine's firewall is touched.
dockerd --host "$DOCKER_HOST" --data-root "$dir/data" --exec-root "$run/exec" --pidfile "$run/pid" \
    --iptables=false --ip-masq=false --ip-forward=false > "$dir/dockerd.log" 2>&1 &
daemon=$!
stop() {
    local containers
    containers=$(docker ps --quiet --filter label=pexvisor.test 2>/dev/null || true)
    # shellcheck disable=SC2086 # one word per container
    [ -z "$containers" ] || docker rm --force --volumes $containers > /dev/null 2>&1 || true
    kill -TERM "$daemon" 2>/dev/null || true
    wait "$daemon" 2>/dev/null || true
    [ -n "$bridge_was_there" ] || ip link delete docker0 2>/dev/null || true
    rm -rf "$run"
}
trap stop EXIT
until docker info > /dev/null 2>&1; do
    if ! kill -0 "$daemon" 2>/dev/null || [ "$SECONDS" -gt "$start_s_max" ]; then
        echo "docker: the daemon does not start; the end of $dir/dockerd.log:"
        tail -n 20 "$dir/dockerd.log"
        exit 1
    fi
    sleep 0.2
done
echo "docker: started a daemon, $(docker version --format '{{.Server.Version}}')"
"$@"
