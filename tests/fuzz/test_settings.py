"""Settings and messages with anything in them are read, or refused in the way that their callers expect."""

import math
from uuid import UUID

import msgspec
import pytest
from dispatchers import SECRETS_KEY
from fuzzing import HIDDEN, MESSAGE, NOW, examples, refusal
from hypothesis import given
from hypothesis import strategies as st
from json_mutations import changed_json
from processes import SECRETS

from dispatcher.channels.webhook import retry_after_seconds
from dispatcher.messages import DeliveryMessage
from dispatcher.ops.dead.queues.reading import UNREADABLE
from dispatcher.settings import DispatcherSettings
from ingress.settings import IngressSettings
from shared.backoff import parse_backoff, wait_name, wait_seconds
from shared.domain import decode_event, encode_event
from shared.providers import make_adapters
from shared.settings import BadSetting, Settings, load, masked

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
    sentence = refusal(lambda: load(kind, environment), BadSetting)
    if sentence is not None:
        assert any(name in sentence for name in names)
        assert HIDDEN not in sentence
        return
    settings = load(kind, environment)
    assert HIDDEN not in repr(settings)
    assert HIDDEN not in str(masked(settings))
    if isinstance(settings, IngressSettings):
        providers = settings.providers()
        assert HIDDEN not in (refusal(lambda: make_adapters(providers), ValueError) or "")


@examples()
@given(
    st.one_of(
        st.text(max_size=20),
        st.lists(st.from_regex(r"[0-9]{0,4}\.?[0-9]{0,4}[smhd](\*[0-9]{0,12})?", fullmatch=True)).map(",".join),
    )
)
def test_any_table_of_waits_is_bounded_or_refused(text: str) -> None:
    if refusal(lambda: parse_backoff(text), ValueError):
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
