"""Every text is a moment, aware and in UTC, or is refused with a sentence that names its field."""

from datetime import UTC, datetime

import pytest
from apis import Api
from dispatchers import DispatcherHarness, an_event
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


def test_days_have_names_and_times_of_utc() -> None:
    """The 29th is a Sunday; of a weekday the last one is meant, which may be today."""
    for text, found in (
        ("monday", "2026-11-23T00:00"), ("Monday 08:00", "2026-11-23T08:00"), ("sun", "2026-11-29T00:00"),
        ("sunday 8:00", "2026-11-29T08:00"), ("yesterday 18:30", "2026-11-28T18:30"), ("8:00", "2026-11-29T08:00"),
        ("today 23:59", "2026-11-29T23:59"),
    ):  # fmt: skip
        assert read_moment("since", text, NOW) == datetime.fromisoformat(found).replace(tzinfo=UTC), text
    for text in ("monday 24:00", "8:60", "mond", "monday08:00", "now 08:00", "tomorrow", "monday 8", ":", "8:0"):
        with pytest.raises(BadMoment):
            read_moment("since", text, NOW)


def test_a_span_with_nothing_in_it_is_refused() -> None:
    assert read_span("24h", None, NOW) == (datetime(2026, 11, 28, 8, 30, tzinfo=UTC), None)
    for since, until in (("today", "yesterday"), ("24h", "24h"), ("2026-11-29T10:00:00+02:00", "2026-11-29T08:00:00Z")):
        with pytest.raises(BadMoment, match=r"until: .* is not after since"):
            read_span(since, until, NOW)


LISTS = ("faxes", "faxes?webhooks=failing", "events", "deliveries", "attempts", "audit", "dead-letters", "alerts")
FILTERS = ("/v1/dead-letters/replay", "/v1/dead-letters/discard", "/v1/deliveries/resend")


async def test_a_range_of_all_years_is_all_and_a_year_that_does_not_exist_is_refused_wherever_a_time_is_asked_for(
    api: Api, harness: DispatcherHarness
) -> None:
    endpoint = await harness.endpoint()
    await harness.take(an_event(1))
    recover = f"/v1/endpoints/{endpoint.id}/recover"
    for since, until, right in (
        ("0001-01-01", "9999-12-31T23:59:59.999999Z", True),
        ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", True),
        ("999999w", "now", False),
        ("2026", "2027", False),
        ("0000-01-01", "9999-12-31", False),
        ("9999-12-31T23:59:59-01:00", "now", False),
        ("2026-01-01", "2025-01-01", False),
    ):
        for path in LISTS:
            mark = "&" if "?" in path else "?"
            status, answer = await api.ask("GET", f"/v1/{path}{mark}since={since}&until={until}")
            assert status == (200 if right else 422), (path, since, until, answer)
            assert right or answer["code"] == "bad_moment"
            if right and path in {"faxes", "events", "deliveries"}:
                assert len(answer["items"]) == 1, path
        for path in FILTERS if "T" in since or not right else ():  # of the API: whole times only
            body = {"filter": {"since": since, "until": until}, "dry_run": True}
            body |= {"reason": "a test"} if path.endswith("discard") else {}
            status, answer = await api.ask("POST", path, body)
            assert status == (200 if right else 422), (path, since, until, answer)
    for since in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
        body = {"since": since, "until": "9999-12-31T23:59:59.999999Z", "told": True, "dry_run": True}
        status, answer = await api.ask("POST", recover, body)
        assert (status, answer["matched"]) == (200, 1 if since < "1" else 0), since
