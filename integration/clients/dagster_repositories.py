"""Lists a code location's repositories and what is in them, with Dagster's own client.

usage: dagster_repositories.py HOST:PORT|SOCKET [key=value metadata …]
"""

import sys

from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import ListRepositoriesResponse
from dagster._serdes import deserialize_value

address, metadata = sys.argv[1], [tuple(pair.split("=", 1)) for pair in sys.argv[2:]]
if "/" in address:
    client = DagsterGrpcClient(socket=address, metadata=metadata)
else:
    host, port = address.rsplit(":", 1)
    client = DagsterGrpcClient(host=host, port=int(port), metadata=metadata)
for symbol in deserialize_value(client.list_repositories(), ListRepositoriesResponse).repository_symbols:
    origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("test"), symbol.repository_name)
    told = client.external_repository(origin, defer_snapshots=True)
    snap = deserialize_value(told, RepositorySnap)
    names = sorted([node.asset_key.to_user_string() for node in snap.asset_nodes] + [job.name for job in snap.job_refs or []])
    print(f"{symbol.repository_name}: {' '.join(name for name in names if not name.startswith('__'))}")
