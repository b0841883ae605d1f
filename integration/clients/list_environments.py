"""Lists environments over the control API, its messages learned by reflection. usage: list_environments.py ADDRESS"""

import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

channel = grpc.insecure_channel(sys.argv[1])
pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
method = pool.FindServiceByName("pexvisor.v1.Supervisor").FindMethodByName("List")
request, response = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
call = channel.unary_unary(
    "/pexvisor.v1.Supervisor/List",
    request_serializer=request.SerializeToString,
    response_deserializer=response.FromString,
)
for environment in call(request(), timeout=30).environments:
    phase = environment.DESCRIPTOR.fields_by_name["phase"].enum_type.values_by_number[environment.phase].name
    print(environment.name, phase)
