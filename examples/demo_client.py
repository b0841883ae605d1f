"""The client of the demo: Dagster's own gRPC client, through pexvisor's proxy.

usage: demo_client.py ask|load HOST:PORT ENVIRONMENT     ask once, or call without a pause until SIGTERM
       demo_client.py free-ports                         two ports that are free now
"""

import signal
import socket
import sys
import threading
import time

CONNECTIONS = 4


def free_ports() -> None:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    print(*(s.getsockname()[1] for s in sockets))


def connect(address: str, environment: str):
    from dagster._grpc.client import DagsterGrpcClient

    host, port = address.rsplit(":", 1)
    return DagsterGrpcClient(host=host, port=int(port), metadata=[("x-pexvisor-environment", environment)])


def version(client) -> str:
    from dagster_shared.serdes.serdes import deserialize_value

    answer = deserialize_value(client.list_repositories())
    return answer.dagster_library_versions["orders"]


def ask(address: str, environment: str) -> None:
    from dagster_shared.serdes.serdes import deserialize_value

    client = connect(address, environment)
    answer = deserialize_value(client.list_repositories())
    for symbol in answer.repository_symbols:
        print(f"   repository {symbol.repository_name} of {environment}, version {version(client)}")


class Load:
    """Counts calls, and the versions that answered in the order of their first answer."""

    def __init__(self, address: str, environment: str):
        self.where = (address, environment)
        self.running = True
        self.calls = 0
        self.slowest = 0.0
        self.versions: list[str] = []
        self.failures: list[str] = []
        self.lock = threading.Lock()

    def call_until_ended(self) -> None:
        client = connect(*self.where)
        while self.running:
            start = time.perf_counter()
            try:
                self.count(version(client), time.perf_counter() - start)
            except Exception as failure:
                with self.lock:
                    self.failures.append(repr(failure))

    def count(self, version: str, seconds: float) -> None:
        with self.lock:
            self.calls += 1
            self.slowest = max(self.slowest, seconds)
            if version not in self.versions:
                self.versions.append(version)

    def end(self, *_) -> None:
        self.running = False

    def run(self) -> int:
        signal.signal(signal.SIGTERM, self.end)
        threads = [threading.Thread(target=self.call_until_ended) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        while self.running and not (self.calls or self.failures):
            time.sleep(0.01)
        print("calling", flush=True)
        while self.running:
            time.sleep(0.05)
        for thread in threads:
            thread.join()
        print(f"{self.calls} calls, {len(self.failures)} failed, slowest {self.slowest * 1000:.0f} ms")
        print(f"versions that answered, in order: {', '.join(self.versions)}")
        print(*self.failures[:3], sep="\n", end="")
        return 1 if self.failures else 0


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["free-ports"]:
            free_ports()
        case ["ask", address, environment]:
            ask(address, environment)
        case ["load", address, environment]:
            sys.exit(Load(address, environment).run())
        case _:
            sys.exit(__doc__)
