"""Any event is rendered in every format and read back, any webhook is read or refused, no path leaves the spool."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from fuzzing import MESSAGE, NOW, examples
from hypothesis import given
from hypothesis import strategies as st
from json_mutations import NAMES, TEXTS
from multidict import CIMultiDict
from mutations import CONTENT_TYPES, CONTENTS, changed_callbacks

from dispatcher.formats import FORMATS, Facts
from dispatcher.formats.tokens import check_token, new_token
from dispatcher.ops.listener.readers import READERS, Posted, WebhookSummary
from shared.domain import Direction, Event, EventType, Failure, Media, Provider, decode_event
from shared.errors import Refused, Unreadable
from shared.providers.asterisk.spool import read_spool_file

# ---- formats and their readers ---------------------------------------------------------------------------------------

STORABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | STORABLE,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(STORABLE | NAMES.map(lambda name: name.replace("\0", "")), inner, max_size=3)
    ),
    max_leaves=8,
)
MAYBE = st.none() | STORABLE
EVENTS = st.builds(
    lambda event_type, **fields: Event(type=event_type, phase=event_type.phase, **fields),
    event_type=st.sampled_from(EventType),
    id=st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20),
    provider=st.sampled_from(Provider),
    direction=st.sampled_from(Direction),
    fax_id=STORABLE,
    occurred_at=st.none() | st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001 - aware by timezones
    received_at=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - the same
    from_number=MAYBE,
    to_number=MAYBE,
    pages=st.none() | st.integers(0, 2**31 - 1),
    status=MAYBE,
    failure=st.none() | st.builds(Failure, type=MAYBE, code=MAYBE, message=MAYBE, permanent=st.none() | st.booleans()),
    job_id=MAYBE,
    client_state=MAYBE,
    is_test=st.booleans(),
    media=st.none() | st.builds(Media, key=MAYBE, url=MAYBE, content_type=MAYBE, bytes=st.integers(0, 10**9)),
    partial=st.booleans(),
    attempt=st.none() | st.integers(1, 2**31 - 1),
    fields=st.dictionaries(
        STORABLE | st.sampled_from(["fax", "payload", "meta", "file", "event"]), JSON_VALUES, max_size=4
    ),
)
SIGNING = {name: new_token(name) for name in FORMATS}


def an_event() -> Event:
    return decode_event(MESSAGE)


def render_with(format_name: str, event: Event, token: str, document: bytes | None = None) -> Any:
    facts = Facts(url="https://a.example/", tokens=(token,), delivery_id=uuid4(), attempt=1, now=NOW)
    return FORMATS[format_name].render(event, document, facts)


@examples(200)
@given(event=EVENTS, content=st.none() | CONTENTS, kind=st.sampled_from(["application/pdf", "", "x/y", "a\r\nb"]))
def test_any_event_is_rendered_with_headers_that_can_be_sent_and_read_back_verified(
    event: Event, content: bytes | None, kind: str
) -> None:
    if event.media is not None:
        event = msgspec.structs.replace(event, media=msgspec.structs.replace(event.media, content_type=kind))
    for format_name, token in SIGNING.items():
        if not FORMATS[format_name].has_word_for(event):
            continue
        webhook = render_with(format_name, event, token, content)
        for name, value in webhook.headers.items():
            assert not any(letter in name + value for letter in "\r\n\0")
            assert value.isascii()
        posted = Posted(
            url="https://a.example/", headers=CIMultiDict(webhook.headers), body=webhook.body, now=NOW.timestamp()
        )
        told = READERS[format_name](posted, [token])
        assert told.refused is None, (format_name, told.refused)


@pytest.mark.parametrize("format_name", FORMATS)
@examples()
@given(data=st.data())
def test_any_webhook_is_told_or_refused_by_its_reader(format_name: str, data: st.DataObject) -> None:
    sent = data.draw(changed_callbacks())
    headers = data.draw(
        st.dictionaries(
            st.sampled_from(
                [
                    *("X-Phaxio-Signature", "telnyx-signature-ed25519", "telnyx-timestamp", "Authorization"),
                    *("webhook-id", "webhook-timestamp", "webhook-signature", "X-Sinch-Signature"),
                ]
            ),
            TEXTS,
        )
    )
    content_type = data.draw(st.sampled_from([sent.content_type]) | CONTENT_TYPES)
    headers |= {} if content_type is None else {"Content-Type": content_type}
    posted = Posted(url="https://a.example/", headers=CIMultiDict(headers), body=sent.body, now=NOW.timestamp())
    for tokens in ([SIGNING[format_name]], ["no token"], []):
        try:
            told = READERS[format_name](posted, tokens)
        except Refused:
            continue
        assert isinstance(told, WebhookSummary)
        assert told.refused


@examples()
@given(text=TEXTS, format_name=st.sampled_from(sorted(FORMATS)))
def test_any_token_that_is_taken_can_sign(text: str, format_name: str) -> None:
    if check_token(format_name, text) is None:
        assert render_with(format_name, an_event(), text)


# ---- the spool -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spool folder with what may lie there, and a fax outside of it that must not be read."""
    folder = tmp_path_factory.mktemp("fax") / "spool"
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "a.tiff").write_bytes(b"II*\0 inside")
    (folder.parent / "secret.tiff").write_bytes(b"II*\0 outside")
    (folder / "out").symlink_to(folder.parent)
    (folder / "link.tiff").symlink_to(folder.parent / "secret.tiff")
    (folder / "good.tiff").symlink_to(folder / "in" / "a.tiff")
    (folder / "loop").symlink_to(folder / "loop")
    os.mkfifo(folder / "fifo")
    return folder


PIECES = st.sampled_from(
    [
        *(
            "in",
            "a.tiff",
            "..",
            ".",
            "",
            "out",
            "secret.tiff",
            "link.tiff",
            "good.tiff",
            "loop",
            "fifo",
            "~",
            "x" * 300,
            "\udce9",
        )
    ]
)


@examples(200)
@given(pieces=st.lists(PIECES | st.text(st.characters(exclude_characters="\0"), max_size=5), max_size=6))
def test_no_path_reads_what_lies_outside_the_spool(spool: Path, pieces: list[str]) -> None:
    path = Path(f"{spool}/{'/'.join(pieces)}")
    try:
        found = read_spool_file(path, spool, 1000)
    except Unreadable:
        return
    assert isinstance(found, str) or found.content == b"II*\0 inside"
