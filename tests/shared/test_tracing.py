"""Traces: what a header may make of them, that their settings are checked, and that a collector never holds a process up."""

import subprocess
import sys
import time

import pytest
from aiohttp.test_utils import make_mocked_request
from collector import collecting
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from ingress.tracing import _trace_of
from shared.settings import BadSetting, Secret
from shared.tracing import MOST_BYTES, check_otlp, open_tracing, read_trace, trace_of

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

LONG = st.integers(100, 700).map("é".__mul__)
HEADERS = st.dictionaries(
    st.sampled_from(["traceparent", "tracestate", "event_id"]), st.none() | st.integers() | st.text(max_size=9) | LONG
)


@given(HEADERS)
def test_whatever_headers_a_message_has_what_is_kept_of_them_is_bounded_and_can_be_read(headers):
    kept = read_trace(headers)
    carrier = trace_of(kept)
    assert bool(carrier) == (kept is not None)
    assert all(len(text) <= MOST_BYTES[name] and headers[name] == text for name, text in carrier.items())
    assert not carrier or "traceparent" in carrier


@pytest.mark.parametrize("kept", [None, "", "{", "[]", '{"traceparent": 1}'])
def test_what_the_ledger_kept_and_cannot_be_read_is_no_trace(kept):
    assert trace_of(kept) == {}


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


@pytest.mark.parametrize(
    "parent",
    ["", "00-0-0-01", "ff" + PARENT[2:], PARENT.upper(), PARENT.replace("4", "g"), "00-" + "0" * 32 + PARENT[35:], "é"],
)
async def test_a_context_that_is_none_begins_a_trace(parent):
    async with collecting() as collector, open_tracing("ingress", collector.url, None) as tracing:
        span = tracing.begin("POST /sinch-inbound", "SERVER", {"traceparent": parent}, {})
        assert span.parent is None
        with tracing.current(span):
            assert PARENT[3:35] not in tracing.carrier()["traceparent"]


@pytest.mark.parametrize("endpoint", ["collector:4318", "grpc://collector:4317", "ftp://collector", "a b"])
def test_an_endpoint_that_is_no_http_url_is_named(endpoint):
    with pytest.raises(BadSetting, match=r"^OTEL_EXPORTER_OTLP_ENDPOINT "):
        check_otlp(endpoint, None)


@pytest.mark.parametrize("headers", ["secret", "=secret", "a=1,secret"])
def test_headers_that_cannot_be_read_are_named_and_not_shown(headers):
    with pytest.raises(BadSetting, match=r"^OTEL_EXPORTER_OTLP_HEADERS ") as raised:
        check_otlp("http://collector:4318", Secret(headers))
    assert "secret" not in str(raised.value)


async def test_a_collector_that_hangs_does_not_hold_up_the_end():
    async with collecting() as collector:
        collector.is_hanging = True
        async with open_tracing("ingress", collector.url, None) as tracing:
            tracing.begin("POST /sinch-inbound", "SERVER", {}, {}).end()
            started = time.monotonic()
        assert time.monotonic() - started < 4


def test_without_an_endpoint_the_library_is_not_imported():
    code = "import sys, ingress.__main__, dispatcher.__main__; print([m for m in sys.modules if 'opentelemetry' in m])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"


async def test_without_an_endpoint_there_is_nothing_that_makes_spans():
    async with open_tracing("ingress", None, None) as tracing:
        assert tracing is None
