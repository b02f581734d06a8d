"""A callback names one trace or none, whatever its headers are."""

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from ingress.tracing import _trace_of

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("headers", "carrier"),
    [
        ([("traceparent", PARENT)], {"traceparent": PARENT}),
        ([("traceparent", PARENT), ("TraceParent", PARENT)], {}),
        ([("tracestate", "a=1")], {}),
        (
            [("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")],
            {"traceparent": PARENT, "tracestate": "a=1,b=2"},
        ),
        ([("traceparent", PARENT), ("tracestate", "a=" + "1" * 600)], {"traceparent": PARENT}),
        ([("traceparent", PARENT + "-" + "0" * 600)], {}),
    ],
)
def test_a_callback_names_one_trace_or_none(headers, carrier):
    assert _trace_of(make_mocked_request("POST", "/", headers=CIMultiDict(headers))) == carrier
