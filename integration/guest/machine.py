"""What the claims in the VM are made with: pexctl, calls through the proxy, and the kernel's own view.

The container's cgroup is at CONTAINER here, whatever pexvisor sees of it. Nothing is timed: the VM is emulated.
"""

import fcntl
import json
import os
import socket
import struct
import subprocess
import threading
import time

import grpc

CONTAINER = "/machine/container"
PROXY = "127.0.0.1:4266"
PATIENCE_S = 120
"""For what should happen at once: every instruction is emulated, on a machine that may be busy."""


def loopback_up():
    """The interface of 127.0.0.1, which a runtime brings up in a container."""
    up_and_running = struct.pack("16sh22x", b"lo", 0x1 | 0x40)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, up_and_running)  # SIOCSIFFLAGS


def eventually(what, look):
    """The first true value that look() gives."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise TimeoutError(f"waited in vain for this: {what}")


def pexctl(*args):
    """Runs pexctl; gives the JSON objects that it prints."""
    ran = subprocess.run(["pexctl", "--json", *args], capture_output=True, text=True, timeout=PATIENCE_S)
    if ran.returncode != 0:
        raise RuntimeError(f"pexctl {args}: exit code {ran.returncode}: {ran.stdout} {ran.stderr}")
    return [json.loads(line) for line in ran.stdout.splitlines()]


def deploy(environment, source, module, *flags):
    """Deploys a tiny pex and returns when it serves."""
    artifacts = ["--artifact=/pexes/tiny-deps.pex", f"--artifact=/pexes/{source}.pex", "--store-dir=/store"]
    return pexctl("deploy", environment, *artifacts, f"--module={module}", *flags)


def status(environment):
    return pexctl("status", environment)[0]


def serving(environment):
    """The generation that serves, with its pid."""
    generations = status(environment)["generations"]
    return next((it for it in generations if it["phase"] == "serving" and it["pid"]), None)


def call(environment, method, body=b"", address=PROXY):
    """One unary call of the tiny server, on a connection of its own."""
    with grpc.insecure_channel(address) as channel:
        rpc = channel.unary_unary(f"/tiny.Echo/{method}")
        return rpc(body, timeout=PATIENCE_S, metadata=(("x-pexvisor-environment", environment),))


def refused(environment):
    """Whether a call fails now."""
    try:
        call(environment, "Marker")
    except grpc.RpcError as error:
        return error
    return None


class Load(threading.Thread):
    """Calls an environment again and again, and keeps what failed."""

    def __init__(self, environment):
        super().__init__(daemon=True)
        self.environment = environment
        self.answers, self.failures, self.ending = 0, [], False
        self.start()

    def run(self):
        while not self.ending:
            error = refused(self.environment)
            if error:
                self.failures.append(str(error))
            else:
                self.answers += 1
            time.sleep(0.2)

    def stop(self):
        self.ending = True
        self.join()


def read(path):
    with open(path) as file:
        return file.read().strip()


def cgroup(pid):
    """The folder of a process's cgroup."""
    return "/machine" + read(f"/proc/{pid}/cgroup").removeprefix("0::")


def pids_of(folder):
    return [int(pid) for pid in read(f"{folder}/cgroup.procs").split()]


def exists(pid):
    """A zombie exists too."""
    return os.path.exists(f"/proc/{pid}")
