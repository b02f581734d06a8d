"""Any event makes one mail to one address, with our headers and our tags only."""

from datetime import UTC, datetime

import pytest
from dispatchers import an_event
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mail_reader import HEADERS, mailed, shown, texts

from shared.domain import Direction, Event, EventType, Failure, Media, Provider

HOSTILE = (
    "\r\nBcc: all@example.com",
    "\nX-Faxhook-Attempt: 9",
    "=?utf-8?q?=0D=0ABcc:_all@example.com?=",
    "=?utf-8?b?DQpCY2M6IGFsbEBleGFtcGxlLmNvbQ==?=",
    "\u2028Bcc: a@b.example",
    "\x85To: a@b.example",
    "\u202egnp.xaf",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\ud800",
    "\0",
    ".\r\n.\r\n",
    "ü" * 500,
    "x" * 5_000,
)
hostile = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=60),
    st.builds(
        lambda left, evil, right: left + evil + right,
        st.text(max_size=9),
        st.sampled_from(HOSTILE),
        st.text(max_size=9),
    ),
)
maybe = st.one_of(st.none(), hostile)
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), hostile),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(hostile, inner, max_size=3)),
    max_leaves=6,
)
recipient = st.one_of(
    anything,
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("phone_number", "number", "status", "error_type", "error_message"), anything)
    ),
)
times = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001 - aware by timezones
events = st.builds(
    lambda event_type, **fields: Event(type=event_type, phase=event_type.phase, **fields),
    event_type=st.sampled_from(EventType),
    id=hostile,
    provider=st.sampled_from(Provider),
    direction=st.sampled_from(Direction),
    fax_id=hostile,
    occurred_at=st.one_of(st.none(), times),
    received_at=times,
    from_number=maybe,
    to_number=maybe,
    pages=st.one_of(st.none(), st.integers(0, 2**31)),
    failure=st.one_of(st.none(), st.builds(Failure, type=maybe, code=maybe, message=maybe, permanent=st.none())),
    job_id=maybe,
    is_test=st.booleans(),
    partial=st.booleans(),
    media=st.one_of(st.none(), st.builds(Media, key=maybe, url=maybe, content_type=maybe, bytes=st.integers(0, 10**9))),
    fields=st.fixed_dictionaries(
        {},
        optional={
            "page": anything,
            "retry_count": anything,
            "fax": st.one_of(anything, st.builds(lambda each: {"recipients": each}, st.lists(recipient, max_size=4))),
        },
    ),
)


@given(event=events, document=st.one_of(st.none(), st.binary(max_size=200)))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=300)
def test_any_event_is_one_mail_to_one_person_with_our_headers_only(event: Event, document: bytes | None) -> None:
    message = mailed(event, document)
    assert set(message.keys()) == HEADERS
    assert len(message.keys()) == len(HEADERS)
    assert [address.addr_spec for address in message["To"].addresses] == ["in@example.com"]
    assert message["X-Faxhook-Attempt"] == "1"
    assert message["Subject"].isprintable()
    assert not message.defects
    kinds = [part.get_content_type() for part in message.walk() if not part.is_multipart()]
    assert kinds[:2] == ["text/plain", "text/html"]
    assert [part.get_content() for part in message.iter_attachments()] in ([], [document])
    page = shown(message)
    assert page.tags <= {"html", "head", "meta", "title", "body", "table", "tr", "td", "div", "span", "br", "a"}
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert all(line.isascii() and len(line) <= 998 for line in message.as_bytes().split(b"\n"))


@pytest.mark.parametrize("text", HOSTILE)
def test_no_hostile_text_becomes_a_header_or_a_tag(text: str) -> None:
    failure = Failure(type=text, code=text, message=text)
    event = an_event(1, EventType.FAILED, id=text, fax_id=text, to_number=text, job_id=text, failure=failure)
    message = mailed(event)
    assert set(message.keys()) == HEADERS
    assert shown(message).tags.isdisjoint({"script", "img"})
    assert "\u202e" not in str(message["Subject"]) + "".join(texts(message))
