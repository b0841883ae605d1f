"""Asks an echo server for its marker and its health. usage: echo.py [--authority NAME] ADDRESS [key=value metadata …]"""

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

args, options = sys.argv[1:], []
if args[0] == "--authority":
    options, args = [("grpc.default_authority", args[1])], args[2:]
metadata = [tuple(pair.split("=", 1)) for pair in args[1:]]
channel = grpc.insecure_channel(args[0], options)
marker = channel.unary_unary("/tiny.Echo/Marker")(b"", metadata=metadata, timeout=30)
request = health_pb2.HealthCheckRequest(service="tiny.Echo")
health = health_pb2_grpc.HealthStub(channel).Check(request, metadata=metadata, timeout=30)
print(marker.decode(), health_pb2.HealthCheckResponse.ServingStatus.Name(health.status))
