"""Whatever headers a message has, the trace context that is kept of them is bounded and can be read again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.tracing.context import MOST_BYTES, read_trace, trace_of

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
