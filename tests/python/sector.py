"""A client that knows a sector by reflection only, which nobody built into the hub.

Usage: sector.py ADDRESS CERTIFICATE_FOLDER PERSONAL_ID
"""

import sys

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

address, folder, personal_id = sys.argv[1:]
CERTIFICATE = "land.v1.LandUseCertificate"


def read(name):
    with open(f"{folder}/{name}", "rb") as file:
        return file.read()


def check(what, condition):
    if not condition:
        sys.exit(f"FAILED: {what}")
    print(f"ok: {what}")


credentials = grpc.ssl_channel_credentials(read("ca.pem"), read("H21.65_portal.key"), read("H21.65_portal.pem"))
channel = grpc.secure_channel(address, credentials)
pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))


def unary(service, method):
    descriptor = pool.FindServiceByName(service).FindMethodByName(method)
    request = message_factory.GetMessageClass(descriptor.input_type)
    response = message_factory.GetMessageClass(descriptor.output_type)
    call = channel.unary_unary(f"/{service}/{method}", request.SerializeToString, response.FromString)
    return lambda **fields: call(request(**fields), timeout=10)


catalogue = unary("lienthong.catalog.v1.CatalogService", "GetRecordType")(name=CERTIFICATE)
labels = {field.path: field.label_vi for field in catalogue.fields}
check("the catalogue labels the record type", catalogue.label_vi == "Giấy chứng nhận quyền sử dụng đất")
check("and its nested fields", labels["parcel.area"] == "Thửa đất: Diện tích (m²)")
sources = unary("lienthong.catalog.v1.CatalogService", "ListSources")().sources
check("its source is listed", any(source.id == "land" for source in sources))

asked = {
    "subject": {"personal_id": personal_id},
    "purpose": {"code": "identify_applicant", "dossier_number": "H21.65-261122-0001"},
    "officer": {"id": "HCC-0123", "name": "Trần Thị Thu Hà"},
}
paths = ["serial_number", "issue_date", "holder_name", "parcel", "mortgaged", "co_holders"]
answer = unary("lienthong.query.v1.QueryService", "Query")(
    selections=[{"record_type": CERTIFICATE, "field_mask": {"paths": paths}}], **asked
)
result = answer.results[0]
check("Query finds one certificate in force", len(result.records) == 1)
message = message_factory.GetMessageClass(pool.FindMessageTypeByName(CERTIFICATE))
record = message.FromString(result.records[0].value.value)
check("its number", record.serial_number == "BK 123456")
check("a packed date", (record.issue_date.year, record.issue_date.month, record.issue_date.day) == (2012, 3, 5))
check("a name out of TCVN3", record.holder_name.full == "Nguyễn Thị Hằng")
check("a code with its label", (record.parcel.use.code, record.parcel.use.label) == ("ONT", "Đất ở tại nông thôn"))
check("an area", record.parcel.area == "120.5")
check("rows of another table", [holder.name.full for holder in record.co_holders] == ["Lê Văn Đức"])
check("what is not granted is withheld", [field.path for field in result.withheld] == ["mortgaged"])
check("the answer is receipted", len(answer.receipt.leaf_hash) == 32)

verdicts = unary("lienthong.query.v1.QueryService", "Verify")(
    claims=[
        {"record_type": CERTIFICATE, "field": "holder_name", "value": "NGUYEN THI HANG"},
        {"record_type": CERTIFICATE, "field": "parcel.map_sheet", "value": "8"},
    ],
    **asked,
)
check("Verify matches and mismatches", [result.verdict for result in verdicts.results] == [1, 2])
print("all checks passed")
