"""Spans: what is no context begins a trace, a collector holds no process up, and without one nothing is imported."""

import subprocess
import sys
import time

import pytest
from collector import collecting

from shared.tracing.spans import open_tracing

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    "parent",
    ["", "00-0-0-01", "ff" + PARENT[2:], PARENT.upper(), PARENT.replace("4", "g"), "00-" + "0" * 32 + PARENT[35:], "é"],
)
async def test_a_context_that_cannot_be_read_begins_a_trace(parent):
    async with collecting() as collector, open_tracing("ingress", collector.url, None) as tracing:
        span = tracing.begin("POST /sinch-inbound", "SERVER", {"traceparent": parent}, {})
        assert span.parent is None
        with tracing.current(span):
            assert PARENT[3:35] not in tracing.carrier()["traceparent"]


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
