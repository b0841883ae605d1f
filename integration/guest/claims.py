"""The claims of the VM tier, in their order. One line on stdout for each: `CLAIM <name> ok` or `CLAIM <name> FAILED <why>`.

Runs beside pexvisor in the VM; integration/tests/vm reads the lines. The last claim ends pexvisor, and with it the
machine, since that is what the end of PID 1 means.
"""

import os
import signal
import sys
import threading
import time
import traceback

sys.path.append("/guest/client")

import machine
from machine import CONTAINER, call, cgroup, deploy, eventually, exists, pexctl, pids_of, read, refused, serving, status

MIB = 1 << 20
HOG_BYTES_MAX = 128 * MIB
LOAD = []


def pexvisor_is_pid_1():
    eventually("the control API answers", answers)
    assert os.path.basename(os.readlink("/proc/1/exe")) == "pexvisor"


def answers():
    try:
        return pexctl("describe")
    except RuntimeError:
        return None


def pexvisor_has_moved_out_of_the_way_of_controllers():
    assert pids_of(CONTAINER) == [], "no process is left in the container's own cgroup"
    assert os.path.basename(cgroup(1)) == "supervisor", cgroup(1)
    enabled = read(f"{CONTAINER}/cgroup.subtree_control").split()
    assert {"cpu", "memory", "pids"} <= set(enabled), enabled


def every_limit_is_the_kernels():
    tiers = {it["resource"]: it for it in pexctl("describe")[0]["enforcement"]}
    for resource in ("cpu", "memory", "pids"):
        assert tiers[resource]["tier"] == "kernel-v2", tiers


def a_deploy_serves():
    deploy("etl", "tiny-v1", "tiny_server")
    assert call("etl", "Marker") == b"v1:"
    LOAD.append(machine.Load("etl"))


def a_generation_has_a_leaf_with_its_limits():
    deploy("limited", "tiny-v1", "tiny_server", "--memory=256M", "--pids=64", "--cpu=1.5")
    generation = serving("limited")
    leaf = cgroup(generation["pid"])
    assert leaf.startswith(CONTAINER) and leaf.endswith(f"/environments/limited/{generation['number']}"), leaf
    assert pids_of(leaf) == [generation["pid"]], pids_of(leaf)
    assert read(f"{leaf}/memory.max") == str(256 * MIB)
    assert read(f"{leaf}/memory.swap.max") in ("0", "max"), "swap adds nothing to a limit"
    assert read(f"{leaf}/pids.max") == "64"
    quota, period = map(int, read(f"{leaf}/cpu.max").split())
    assert quota == period * 3 // 2, (quota, period)


def a_deploy_over_it_leaves_nothing_of_the_old_generation():
    before = serving("limited")
    old_leaf = cgroup(before["pid"])
    deploy("limited", "tiny-v2", "tiny_server")
    assert call("limited", "Marker") == b"v2:"
    eventually("the old leaf is removed", lambda: not os.path.exists(old_leaf))
    assert not exists(before["pid"])
    assert cgroup(serving("limited")["pid"]) != old_leaf


def a_memory_hog_is_killed_in_its_leaf_and_told_of():
    deploy("hog", "eats_memory", "eats_memory", f"--memory={HOG_BYTES_MAX // MIB}M")
    first = serving("hog")
    try:
        call("hog", "Eat", b"1000")
    except machine.grpc.RpcError:
        pass
    else:
        raise AssertionError("it ate more than its limit")
    failure = eventually("the kill is told", lambda: status("hog")["last_failure"])
    assert failure["exit"]["out_of_memory"], failure
    assert HOG_BYTES_MAX // 2 <= failure["exit"]["memory_bytes_peak"] <= HOG_BYTES_MAX, failure
    assert not exists(first["pid"])
    eventually("it is started again", lambda: serving("hog"))
    assert call("hog", "Marker") == b"eats_memory:"


def a_stop_leaves_no_process_however_it_hid():
    deploy("orphans", "forks_orphans", "forks_orphans", "--terminate-timeout=1s")
    leaf = cgroup(serving("orphans")["pid"])
    pids = pids_of(leaf)
    assert len(pids) == 4, "the code server, and three deaf orphans in sessions of their own"
    pexctl("stop", "orphans")
    assert not os.path.exists(leaf)
    eventually("all of them are reaped", lambda: not any(map(exists, pids)))


def an_orphan_that_is_nobodys_is_reaped():
    reader, writer = os.pipe()
    if os.fork() == 0:
        orphan = os.fork()
        if orphan == 0:
            time.sleep(600)
        else:
            os.write(writer, str(orphan).encode())
        os._exit(0)
    os.wait()
    orphan = int(os.read(reader, 20))
    assert f"PPid:\t1\n" in read(f"/proc/{orphan}/status") + "\n", "PID 1 inherited it"
    os.kill(orphan, signal.SIGKILL)
    eventually("it is reaped", lambda: not exists(orphan))


def the_neighbour_never_failed_a_call():
    load = LOAD.pop()
    load.stop()
    assert load.answers > 0
    assert load.failures == [], load.failures


def sigterm_lets_a_call_in_flight_end():
    # It holds the end of pexvisor, and with it that of the machine, up until this claim is made.
    deploy("deaf", "ignores_sigterm", "ignores_sigterm", "--terminate-timeout=8s")
    gate, answer = "/tmp/gate", []
    waiting = threading.Thread(target=lambda: answer.append(call("etl", "Wait", gate.encode())))
    waiting.start()
    eventually("the call is in flight", lambda: serving("etl")["calls_in_flight"])
    os.kill(1, signal.SIGTERM)
    eventually("new calls are refused", lambda: refused("etl"))
    assert answer == [], "the call in flight goes on"
    open(gate, "w").close()
    waiting.join()
    assert answer == [gate.encode()], answer


CLAIMS = [
    pexvisor_is_pid_1,
    pexvisor_has_moved_out_of_the_way_of_controllers,
    every_limit_is_the_kernels,
    a_deploy_serves,
    a_generation_has_a_leaf_with_its_limits,
    a_deploy_over_it_leaves_nothing_of_the_old_generation,
    a_memory_hog_is_killed_in_its_leaf_and_told_of,
    a_stop_leaves_no_process_however_it_hid,
    an_orphan_that_is_nobodys_is_reaped,
    the_neighbour_never_failed_a_call,
    sigterm_lets_a_call_in_flight_end,
]


def say(line):
    print(line.replace("\n", " | "), flush=True)


def main():
    machine.loopback_up()
    for claim in CLAIMS:
        try:
            claim()
        except Exception:
            say(f"CLAIM {claim.__name__} FAILED {traceback.format_exc()}")
        else:
            say(f"CLAIM {claim.__name__} ok")
    # pexvisor ends by now, which ends the machine. If it does not, the machine is switched off and the test tells.
    time.sleep(machine.PATIENCE_S)
    with open("/proc/sysrq-trigger", "w") as sysrq:
        sysrq.write("o")


main()
