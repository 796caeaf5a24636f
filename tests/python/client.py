"""A client of the hub that knows it by reflection only.

Usage: client.py ADDRESS CERTIFICATE_FOLDER PERSONAL_ID FULL_NAME
"""

import sys

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

address, folder, personal_id, full_name = sys.argv[1:]
RESIDENT = "lienthong.population.v1.Resident"


def read(name):
    with open(f"{folder}/{name}", "rb") as file:
        return file.read()


def check(what, condition):
    if not condition:
        sys.exit(f"FAILED: {what}")
    print(f"ok: {what}")


# Without a certificate: refused, in words.
stranger = grpc.secure_channel(address, grpc.ssl_channel_credentials(read("ca.pem")))
try:
    ProtoReflectionDescriptorDatabase(stranger).get_services()
    check("a client without a certificate is refused", False)
except grpc.RpcError as error:
    check("a client without a certificate is refused", error.code() == grpc.StatusCode.UNAUTHENTICATED)
    check("the refusal says why", "certificate" in error.details())

credentials = grpc.ssl_channel_credentials(read("ca.pem"), read("H21.65_portal.key"), read("H21.65_portal.pem"))
channel = grpc.secure_channel(address, credentials)
reflection = ProtoReflectionDescriptorDatabase(channel)
services = reflection.get_services()
for service in ("query.v1.QueryService", "catalog.v1.CatalogService", "audit.v1.AuditService"):
    check(f"reflection lists {service}", f"lienthong.{service}" in services)
check("reflection lists health", "grpc.health.v1.Health" in services)

pool = DescriptorPool(reflection)


def unary(service, method):
    descriptor = pool.FindServiceByName(service).FindMethodByName(method)
    request = message_factory.GetMessageClass(descriptor.input_type)
    response = message_factory.GetMessageClass(descriptor.output_type)
    call = channel.unary_unary(f"/{service}/{method}", request.SerializeToString, response.FromString)
    return request, lambda message: call(message, timeout=10)


health_request, health = unary("grpc.health.v1.Health", "Check")
check("the hub is serving", health(health_request()).status == 1)

purpose = {"code": "confirm_residence", "dossier_number": "H21.65-261122-0001"}
officer = {"id": "HCC-0123", "name": "Trần Thị Thu Hà"}

query_request, query = unary("lienthong.query.v1.QueryService", "Query")
answer = query(
    query_request(
        subject={"personal_id": personal_id},
        selections=[{"record_type": RESIDENT, "field_mask": {"paths": ["full_name", "birth_date", "religion"]}}],
        purpose=purpose,
        officer=officer,
    )
)
resident = message_factory.GetMessageClass(pool.FindMessageTypeByName(RESIDENT))
result = answer.results[0]
check("Query finds the person", len(result.records) == 1)
record = resident.FromString(result.records[0].value.value)
check("the name is right", record.full_name.full == full_name)
check("the birth date is there", record.birth_date.year > 1900)
check("religion is withheld", not record.HasField("religion") and [field.path for field in result.withheld] == ["religion"])
check("the answer is receipted", len(answer.receipt.leaf_hash) == 32 and answer.receipt.log_index > 0)

verify_request, verify = unary("lienthong.query.v1.QueryService", "Verify")
verdicts = verify(
    verify_request(
        subject={"personal_id": personal_id},
        claims=[
            {"record_type": RESIDENT, "field": "full_name", "value": full_name.upper()},
            {"record_type": RESIDENT, "field": "birth_date", "value": "1801"},
        ],
        purpose=purpose,
        officer=officer,
    )
)
check("Verify matches and mismatches", [result.verdict for result in verdicts.results] == [1, 2])
print("all checks passed")
