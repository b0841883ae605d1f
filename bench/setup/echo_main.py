"""Takes the place of `dagster` in the echo pex: becomes the native echo server on the socket that it was given."""

import os

socket = os.environ.get("PEXVISOR_SOCKET") or os.environ["DAGSTER_CLI_API_GRPC_SOCKET"]
server = os.environ["BENCH_ECHO_SERVER"]
os.execv(server, [server, "echo", "--socket", socket])
