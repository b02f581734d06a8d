"""Everything else that reads what others wrote: it is read, or refused in the one way that its callers know."""

import math
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from aiohttp import encode_basic_auth
from dispatchers import SECRETS_KEY
from fuzzing import examples
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from mutations import CONTENT_TYPES, CONTENTS, NAMES, TEXTS, VALUES, changed_callbacks, changed_json
from processes import SECRETS
from yarl import URL

from dispatcher.channels.mail_address import parse_mailbox, parse_relay
from dispatcher.channels.webhook import retry_after_seconds
from dispatcher.egress import EgressRefused, check_host, is_allowed, parse_networks
from dispatcher.formats import FORMATS, Facts
from dispatcher.formats.tokens import check_token, new_token
from dispatcher.messages import DeliveryMessage
from dispatcher.ops.dead.reading import UNREADABLE
from dispatcher.ops.endpoint_fields import changed, new_endpoint, read_fields, shown
from dispatcher.ops.endpoint_input import BadEndpoint, checked_url
from dispatcher.ops.webhook_readers import READERS, Posted, Told
from dispatcher.routing import Endpoint
from dispatcher.settings import DispatcherSettings
from dispatcher.way_out import public_url
from ingress.settings import IngressSettings
from shared.backoff import parse_backoff, wait_name, wait_seconds
from shared.domain import Direction, Event, EventType, Failure, Media, Provider, decode_event, encode_event
from shared.errors import Refused, Unreadable
from shared.providers import make_adapters
from shared.providers.spool import read_spool_file
from shared.settings import BadSetting, Settings, load, masked
from shared.signatures import basic_credentials

NOW = datetime(2026, 10, 3, 8, 0, tzinfo=UTC)
HIDDEN = "hidden-" + "x" * 20


def _refusal(read: Callable[[], object], refused: type[Exception]) -> str | None:
    """Return the sentence that *read* is refused with; None if it is not. Anything but *refused* is raised."""
    try:
        read()
    except refused as error:
        return str(error)
    return None


# ---- settings --------------------------------------------------------------------------------------------------------

WHOLE: dict[type[Settings], dict[str, str]] = {
    IngressSettings: {"AMQP_URL": "amqp://u:p@h/v", "MEDIA_URL": "file:///tmp/m", **SECRETS},
    DispatcherSettings: {
        "AMQP_URL": "amqp://u:p@h/v",
        "MEDIA_URL": "file:///tmp/m",
        "DATABASE_URL": "postgresql://u:p@h/d",
        "SECRETS_KEY": SECRETS_KEY,
        "EGRESS_PROXY": "http://u:p@h:1",
        "SMTP_URL": "smtp://u:p@h",
        "MAIL_FROM": "a@example.com",
    },
}
SETTING_TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30),
    st.sampled_from(
        [
            *(",", ",,a", "http://[", "amqp://h:99999/", "amqp://h:x", "http://h", "smtp://", "a@", "<>", "nan", "1e9"),
            *("5m*0", "6h*999999999999", "0s", "1m" + ",1m" * 200, "٣m", "10.0.0.0/33", "::/0", "10.0.0.1/8", "true"),
            *("x" * 44, SECRETS_KEY + "," + SECRETS_KEY, "é" * 44, "-1", "65536", "/nonexistent", "https://u@h/?q#f"),
        ]
    ),
)


@pytest.mark.parametrize("kind", WHOLE)
@examples(150)
@given(data=st.data())
def test_any_environment_is_loaded_or_refused_naming_a_variable_and_showing_no_secret(
    kind: type[Settings], data: st.DataObject
) -> None:
    names = [field.encode_name for field in msgspec.structs.fields(kind)]
    odd = data.draw(st.dictionaries(st.sampled_from(names), SETTING_TEXTS, max_size=3))
    hidden = data.draw(st.sampled_from([name for name in names if "SECRET" in name or "TOKEN" in name]))
    environment = {**WHOLE[kind], hidden: HIDDEN, **odd}
    sentence = _refusal(lambda: load(kind, environment), BadSetting)
    if sentence is not None:
        assert any(name in sentence for name in names)
        assert HIDDEN not in sentence
        return
    settings = load(kind, environment)
    assert HIDDEN not in repr(settings)
    assert HIDDEN not in str(masked(settings))
    if isinstance(settings, IngressSettings):
        providers = settings.providers()
        assert HIDDEN not in (_refusal(lambda: make_adapters(providers), ValueError) or "")


@examples()
@given(
    st.one_of(
        st.text(max_size=20),
        st.lists(st.from_regex(r"[0-9]{0,4}\.?[0-9]{0,4}[smhd](\*[0-9]{0,12})?", fullmatch=True)).map(",".join),
    )
)
def test_any_table_of_waits_is_bounded_or_refused(text: str) -> None:
    if _refusal(lambda: parse_backoff(text), ValueError):
        return
    waits = parse_backoff(text)
    assert 1 <= len(waits) <= 100
    assert all(0 < wait < 31 * 86_400 for wait in waits)
    assert all(len(wait_name(wait)) < 20 for wait in waits)


@examples()
@given(
    backoff=st.lists(st.floats(0.001, 86_400), min_size=1, max_size=20),
    attempt=st.integers(1, 30),
    header=st.one_of(
        st.none(),
        st.text(max_size=40),
        st.integers().map(str),
        st.floats().map(str),
        st.from_regex(
            r"[A-Z][a-z]{2,8}, [0-9]{1,3}[ -][A-Z][a-z]{2}[ -][0-9]{2,5} [0-9]{2}:[0-9]{2}:[0-9]{2} [A-Z+0-9]*"
        ),
        st.sampled_from(
            ["1e308", "-inf", "1_000", "٣", "9" * 400, "0x10", "  5  ", "5,6", "Thu, 01 Jan 1970 00:00:00 GMT"]
        ),
    ),
)
def test_no_retry_after_moves_a_retry_before_its_time_or_beyond_the_tables_longest_wait(
    backoff: list[float], attempt: int, header: str | None
) -> None:
    asked = retry_after_seconds(header, NOW)
    assert asked is None or (asked >= 0 and math.isfinite(asked))
    wait = wait_seconds(backoff, attempt, asked)
    if attempt > len(backoff):
        assert wait is None
    else:
        assert backoff[attempt - 1] <= wait <= max(backoff)


# ---- messages --------------------------------------------------------------------------------------------------------

MESSAGE = (
    '{"id":"phaxio:1","provider":"phaxio","type":"fax.failed","phase":"postflight","direction":"sent","fax_id":"1",'
)
MESSAGE += (
    '"received_at":"2026-10-03T08:00:00Z","failure":{"code":"1"},"media":{"url":"https://a/"},"fields":{"a":[1]}}'
)


@examples(200)
@given(
    body=st.one_of(
        st.binary(max_size=60), changed_json(MESSAGE).map(lambda text: text.encode("utf-8", "surrogatepass"))
    )
)
def test_any_event_message_is_read_or_unreadable(body: bytes) -> None:
    try:
        event = decode_event(body)
    except UNREADABLE:
        return
    assert decode_event(encode_event(event)) == event


@examples(200)
@given(
    body=st.one_of(
        st.binary(max_size=60),
        changed_json(f'{{"delivery_id":"{UUID(int=7)}","attempt":2}}').map(
            lambda text: text.encode("utf-8", "surrogatepass")
        ),
    )
)
def test_any_delivery_message_is_read_or_unreadable(body: bytes) -> None:
    try:
        message = msgspec.json.decode(body, type=DeliveryMessage)
    except UNREADABLE:
        return
    assert 1 <= message.attempt < 2**31


# ---- endpoints -------------------------------------------------------------------------------------------------------

URLS = st.one_of(
    st.text(max_size=30).map(lambda text: "http://" + text),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40).map(lambda text: "https://" + text),
    st.text(max_size=30).map(lambda text: "mailto:" + text),
    st.sampled_from(
        [
            *(
                "http://[::1",
                "http://[::1]x/",
                "http://a:b@c:d@e/",
                "http://u:p%00@h/",
                "http://h:0/",
                "http://h:65536/",
            ),
            *(
                "http://%31%32%37.0.0.1/",
                "http://127.1/",
                "http://0x7f.1/",
                "http://h\\@10.0.0.1/",
                "http://@/",
                "http://:80/",
            ),
            *(
                "http://a.b.c.",
                "http://" + "a" * 64 + ".example/",
                "http://xn--/",
                "http://h/%zz",
                "http://h?%",
                "http://[fe80::1%25eth0]/",
            ),
            *(
                "mailto:a@b.example?bcc=c@d.example",
                "mailto:a%0d%0aBcc:b@c.example@d.example",
                "mailto:%00@b",
                "mailto:a@b,c@d",
            ),
            *(
                "HTTP://h/",
                "http:/h",
                "//h/",
                "http://h/\x7f",
                "http://h/" + "x" * 2048,
                "http://u:p@h:80/?a=#b",
                "http://..../",
            ),
        ]
    ),
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "url": URLS | VALUES,
        "failover_url": URLS | VALUES,
        "scope": st.sampled_from(["global", "number", "fax", "x"]) | VALUES,
        "direction": st.sampled_from(["sent", "received", "any"]) | VALUES,
        "match": st.one_of(
            VALUES, st.sampled_from(["+15551234567", {"job_id": "j"}, {"provider": "phaxio", "fax_id": "1"}])
        ),
        "format": st.sampled_from([*FORMATS, "x"]) | VALUES,
        "tokens": st.lists(TEXTS, max_size=6) | VALUES,
        "timeout_seconds": st.floats() | st.integers() | VALUES,
        "max_concurrent": st.integers() | VALUES,
        "inflight": VALUES,
        "enabled": VALUES,
        "overtaken": VALUES,
        "x": VALUES,
    },
)


@examples(300)
@given(given_fields=FIELDS, change=FIELDS, fields_url=URLS)
def test_any_fields_make_an_endpoint_that_can_be_posted_to_or_are_refused_by_name(
    given_fields: dict[str, Any], change: dict[str, Any], fields_url: str
) -> None:
    for fields in ({"url": fields_url}, given_fields, {"url": "https://a.example/", **given_fields}):
        made: list[Endpoint] = []
        sentence = _refusal(
            lambda fields=fields, made=made: made.append(
                changed(new_endpoint(read_fields(fields)), read_fields(change))
            ),
            BadEndpoint,
        )
        if sentence is not None:
            assert ": " in sentence
            continue
        (endpoint,) = made
        assert msgspec.json.encode(shown(endpoint, tokens=True))
        assert 0 < endpoint.timeout_seconds <= 60
        assert 1 <= endpoint.max_concurrent <= 1000


@examples(300)
@given(url=URLS)
def test_any_url_that_is_taken_can_be_posted_to_and_hides_its_password(url: str) -> None:
    try:
        checked_url("url", url)
    except BadEndpoint:
        return
    if url.startswith("mailto:"):
        return
    open_url = public_url(url)
    target = URL(open_url, encoded=True)
    assert target.user is None
    assert target.host
    named = URL(url, encoded=True)
    if named.user is not None:
        assert basic_credentials(encode_basic_auth(named.user, named.password or "")) is not None
    assert not any(letter in open_url for letter in "\r\n\0 ")
    try:
        check_host(target.raw_host or "", ())
    except EgressRefused:
        return


@examples()
@given(text=st.one_of(TEXTS, st.ip_addresses().map(str)))
def test_any_text_is_an_address_that_may_be_reached_or_not(text: str) -> None:
    assert is_allowed(text, parse_networks(["0.0.0.0/0", "::/0"])) or not is_allowed(text, ())


@examples()
@given(
    text=st.one_of(TEXTS, st.text(max_size=30).map(lambda text: f"{text}@example.com")),
    scheme=st.sampled_from(["", "smtp://", "smtps://u:p@"]),
)
def test_any_mailbox_and_relay_is_read_or_refused_without_quoting_it(text: str, scheme: str) -> None:
    for read in (parse_mailbox, parse_relay):
        assert HIDDEN not in (_refusal(lambda read=read: read(scheme + text + HIDDEN), ValueError) or "")


@examples()
@given(text=TEXTS, format_name=st.sampled_from(sorted(FORMATS)))
def test_any_token_that_is_taken_can_sign(text: str, format_name: str) -> None:
    if check_token(format_name, text) is None:
        assert render_with(format_name, an_event(), text)


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
        assert isinstance(told, Told)
        assert told.refused


# ---- the spool -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spool folder with what may lie there, and a fax outside of it that nobody may read."""
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
