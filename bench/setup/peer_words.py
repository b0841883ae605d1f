"""Prints the requests that the peer's own client sends, with placeholders, as one JSON object.

The peer's door takes JSON inside a protobuf string. Its form is the peer's business, so the peer's package writes it:
the benchmark replaces LOCATION, TAG, PACKAGE and the timestamp and sends the rest as it stands.
"""

import json

from dagster_cloud.pex.grpc.types import CreatePexServerArgs, PexServerHandle, ShutdownPexServerArgs
from dagster_cloud_cli.core.workspace import CodeLocationDeployData, PexMetadata
from dagster_shared.serdes.serdes import serialize_value

TIMESTAMP = 1111111111111

handle = PexServerHandle("prod", "LOCATION", TIMESTAMP)
data = CodeLocationDeployData(image="bench", package_name="PACKAGE", pex_metadata=PexMetadata("TAG"))
print(
    json.dumps(
        {
            "create": serialize_value(CreatePexServerArgs(server_handle=handle, code_location_deploy_data=data)),
            "shutdown": serialize_value(ShutdownPexServerArgs(server_handle=handle)),
        }
    )
)
