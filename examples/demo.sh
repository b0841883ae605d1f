#!/usr/bin/env bash
# The main job on one machine, from nothing: builds the two pexes of examples/dagster, deploys them, asks for the
# repository through the proxy, changes one line, deploys again under load, and stops. Everything stays in target/demo
# and in a temporary state directory.
set -euo pipefail
cd "$(dirname "$0")/.."
unset PYTHONDONTWRITEBYTECODE

out=$PWD/target/demo
programs=${DEMO_PROGRAMS:-$PWD/target/debug}
python=${DEMO_PYTHON:-/usr/bin/python3}
state=$(mktemp -d /tmp/pexvisor-demo.XXXXXX)
store=$state/store
environment=orders
supervisor_pid='' load_pid=''

export PEX_ROOT=$out/pex-root
export PEXCTL_CONTROL=unix:$state/control.sock

# ---- Steps, each with its time ------------------------------------------------------------------------------------

started_ms=0

step() { # what follows
  echo
  echo "== $*"
  started_ms=$(date +%s%3N)
}

took() {
  local ms=$(($(date +%s%3N) - started_ms))
  printf '   took %d.%03d s\n' $((ms / 1000)) $((ms % 1000))
}

fail() {
  echo "demo failed: $*" >&2
  exit 1
}

clean_up() {
  [[ -z $load_pid ]] || kill "$load_pid" 2>/dev/null || true
  if [[ -n $supervisor_pid ]] && kill -0 "$supervisor_pid" 2>/dev/null; then
    echo "-- the last lines of pexvisor:" >&2
    tail -n 20 "$out/pexvisor.log" >&2 || true
    kill "$supervisor_pid" 2>/dev/null || true
    wait "$supervisor_pid" || true
  fi
  rm -rf "$state"
}
trap clean_up EXIT

# ---- What the steps do --------------------------------------------------------------------------------------------

make_venv() {
  local list
  list="pex==2.105.* $(tr '\n' ' ' <examples/dagster/requirements.txt)"
  [[ $(cat "$out/venv/made" 2>/dev/null) != "$list" ]] || return 0
  rm -rf "$out/venv"
  "$python" -m venv "$out/venv" || fail "$python cannot make a venv (Debian: apt-get install python3-venv)"
  "$out/venv/bin/pip" -q install uv
  "$out/venv/bin/uv" -q pip install --python "$out/venv/bin/python" 'pex==2.105.*' -r examples/dagster/requirements.txt
  echo "$list" >"$out/venv/made"
}

build_deps() {
  [[ $out/deps.pex -nt $out/venv/made ]] && return 0
  "$out/venv/bin/pex" -r examples/dagster/requirements.txt --venv-repository "$out/venv" -o "$out/deps.pex"
}

build_source() { # version
  rm -rf "$out/source"
  cp -r examples/dagster/src "$out/source"
  sed -i "s/^VERSION = .*/VERSION = \"$1\"/" "$out/source/orders/definitions.py"
  "$out/venv/bin/pex" -D "$out/source" -o "$out/source-$1.pex"
}

start_pexvisor() {
  read -r proxy probes < <("$out/venv/bin/python" examples/demo_client.py free-ports)
  mkdir "$store"
  "$programs/pexvisor" --state-dir "$state/state" --store "file://$store" --control "unix:$state/control.sock" \
    --proxy "127.0.0.1:$proxy" --probes "127.0.0.1:$probes" >"$out/pexvisor.log" 2>&1 &
  supervisor_pid=$!
  for _ in $(seq 200); do
    [[ ! -S $state/control.sock ]] || return 0
    kill -0 "$supervisor_pid" 2>/dev/null || fail "pexvisor ended; see $out/pexvisor.log"
    sleep 0.01
  done
  fail "pexvisor does not open its control door; see $out/pexvisor.log"
}

deploy() { # version
  # Dagster keeps its instance there; an empty folder will do.
  mkdir -p "$state/dagster-home"
  "$programs/pexctl" deploy "$environment" --artifact "$out/deps.pex" --artifact "$out/source-$1.pex" \
    --store-dir "$store" --package-name orders --env "DAGSTER_HOME=$state/dagster-home" --label "$1"
}

client() { "$out/venv/bin/python" examples/demo_client.py "$1" "127.0.0.1:$proxy" "$environment"; }

start_load() {
  "$out/venv/bin/python" examples/demo_client.py load "127.0.0.1:$proxy" "$environment" >"$out/load.txt" &
  load_pid=$!
  for _ in $(seq 500); do
    [[ ! -s $out/load.txt ]] || return 0
    sleep 0.02
  done
  fail "the load does not start"
}

end_load() {
  # A while on the new one, then the sum.
  sleep 1
  kill -TERM "$load_pid"
  wait "$load_pid" || fail "calls failed: $(cat "$out/load.txt")"
  load_pid=''
  sed 's/^/   /' "$out/load.txt"
}

stop_pexvisor() {
  kill -TERM "$supervisor_pid"
  wait "$supervisor_pid" || fail "pexvisor ended with code $?"
  supervisor_pid=''
}

# Code servers name the state directory in their environment.
check_nothing_left() {
  local left file
  left=$(grep -slF "$state" /proc/[0-9]*/environ | grep -v "/$$/" || true)
  for file in $left; do
    ! grep -sqF "PEXVISOR_SOCKET=$state" "$file" || fail "left running: ${file%/environ}"
  done
  [[ -z $(find "$state" -type s) ]] || fail "sockets left: $(find "$state" -type s)"
  # Named after the state directory, so that another pexvisor on this machine does not count.
  local group
  group=pexvisor-$(printf %s "$state/state" | sha256sum | cut -c1-8)
  left=$(find /sys/fs/cgroup -maxdepth 4 -type d -name "$group" 2>/dev/null || true)
  [[ -z $left ]] || fail "control groups left: $left"
  echo "   no process, no socket, no control group left"
}

# ---- The demo -----------------------------------------------------------------------------------------------------

mkdir -p "$out"
step "Python environment with pex and Dagster (target/demo/venv)"; make_venv; took
step "deps.pex: Dagster and pandas"; build_deps; took
step "source.pex, version v1"; build_source v1; took
step "start pexvisor"; start_pexvisor; took
step "first deploy: nothing is cached"; deploy v1; took
step "list the repository through the proxy"; client ask; took
step "change one line (VERSION = \"v2\") and build source.pex again"; build_source v2; took
step "load: calls without a pause on 4 connections"; start_load; took
step "fast deploy under load: new source, deps cached"; deploy v2; took
step "end the load"; end_load; took
step "list the repository through the proxy"; client ask; took
step "stop pexvisor (Dagster's code server takes some 10 s to end by itself)"; stop_pexvisor; check_nothing_left; took
echo
echo "done: v1 and v2 were deployed, and no call failed"
