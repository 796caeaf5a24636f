"""Reads the hub's metrics as Prometheus does that asks for the OpenMetrics format, with Prometheus' own parser.

Usage: openmetrics.py ADDRESS TRACE_ID
"""

import sys
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families

address, trace = sys.argv[1:]
request = urllib.request.Request(
    f"http://{address}/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
)
with urllib.request.urlopen(request, timeout=10) as answer:
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text"), answer.headers
    text = answer.read().decode()
families = {family.name: family for family in text_string_to_metric_families(text)}
assert families["lienthong_source_attempts"].type == "counter", "counters are named without their ending"

exemplars = [
    (sample.labels, sample.exemplar)
    for sample in families["rpc_server_call_duration_seconds"].samples
    if sample.exemplar
]
found = [(labels, exemplar) for labels, exemplar in exemplars if exemplar.labels == {"trace_id": trace}]
assert len(found) == 1, exemplars
labels, exemplar = found[0]
assert labels["rpc_method"] == "lienthong.query.v1.QueryService/Query", labels
assert labels["lienthong_agency"] == "H21.99" and labels["rpc_response_status_code"] == "OK", labels
assert 0 < exemplar.value <= float(labels["le"]), (labels, exemplar)
print(f"{len(families)} families, {len(exemplars)} exemplars: all checks passed")
