"""The smallest code server: binds the socket it is given, answers grpc.health.v1, and echoes bytes."""

import os
import signal
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

SOCKET = os.environ["PEXVISOR_SOCKET"]

# No generated code: a generic handler takes and gives plain bytes when it is told no (de)serializer.
ECHO = grpc.method_handlers_generic_handler(
    "example.Plain",
    {"Echo": grpc.unary_unary_rpc_method_handler(lambda request, context: request)},
)


def main() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    server.add_generic_rpc_handlers((ECHO,))
    healthy = health.HealthServicer()
    healthy.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    server.add_insecure_port(f"unix:{SOCKET}")
    server.start()
    # SIGTERM asks to end: calls in flight may finish, new ones are refused.
    signal.signal(signal.SIGTERM, lambda *_: server.stop(grace=5))
    server.wait_for_termination()


if __name__ == "__main__":
    main()
