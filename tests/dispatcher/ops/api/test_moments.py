"""Every text is a moment, aware and in UTC, or is refused with a sentence that names its field."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.ops.api.moments import BadMoment, read_moment, read_span

NOW = datetime(2026, 11, 29, 8, 30, tzinfo=UTC)

TEXTS = st.one_of(
    st.text(max_size=40),
    st.from_regex(r"\A[0-9]{1,7}[smhdwy]\Z"),
    st.datetimes(timezones=st.none() | st.timezones()).map(datetime.isoformat),
    st.dates().map(str),
)


@given(TEXTS)
def test_every_text_is_a_moment_or_is_refused(text: str) -> None:
    try:
        found: datetime | BadMoment = read_moment("since", text, NOW)
    except BadMoment as error:
        found = error
    if isinstance(found, datetime):
        assert found.utcoffset() == NOW.utcoffset()
    else:
        assert (found.field, found.status, str(found)[:7]) == ("since", 422, "since: ")


def test_a_span_with_nothing_in_it_is_refused() -> None:
    assert read_span("24h", None, NOW) == (datetime(2026, 11, 28, 8, 30, tzinfo=UTC), None)
    for since, until in (("today", "yesterday"), ("24h", "24h"), ("2026-11-29T10:00:00+02:00", "2026-11-29T08:00:00Z")):
        with pytest.raises(BadMoment, match=r"until: .* is not after since"):
            read_span(since, until, NOW)
