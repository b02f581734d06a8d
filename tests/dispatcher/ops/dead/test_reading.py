"""Messages become letters whoever wrote them, and causes groups; nothing that lies in a queue can break the look."""

import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dispatcher.ops.dead.causes import GROUPS, delivery_codes, group_of, matches
from dispatcher.ops.dead.letters import KINDS, Kind
from dispatcher.ops.dead.queues.reading import read, shown_message
from shared.amqp.frames import Message

CODES = st.one_of(
    st.integers(300, 599).map(lambda status: f"http_{status}"),
    st.sampled_from(["timeout", "tls", "gone", "stuck", "unreadable", "smtp_550", "proxy_502", "refused", "crashed"]),
    st.text(max_size=20),
)
HEADERS = st.dictionaries(
    st.sampled_from(["cause", "reason", "died_at", "event_id", "x-death"]),
    st.one_of(
        st.text(max_size=30),
        st.binary(max_size=10),
        st.integers(),
        st.lists(st.dictionaries(st.just("reason"), st.text(max_size=5)), max_size=2),
    ),
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(kind=st.sampled_from(KINDS), body=st.binary(max_size=200), headers=HEADERS)
def test_any_message_is_some_letter_with_the_same_id_at_every_look(kind: Kind, body: bytes, headers: dict) -> None:
    message = Message(1, body, headers, "key", False)
    found = read(kind, message)
    assert found.letter.kind == kind
    assert found.letter.cause is not None
    assert found.letter.id == read(kind, message).letter.id
    assert found.letter.died_at is None or found.letter.died_at.tzinfo is not None
    shown_message(kind, body)


@given(kind=st.sampled_from(KINDS), code=CODES)
def test_every_cause_is_in_one_group_and_both_find_it(kind: Kind, code: str) -> None:
    fitting = [group for group in GROUPS if kind in group.kinds and re.fullmatch(group.codes, code)]
    assert len(fitting) <= 1
    assert matches(group_of(kind, code).key, kind, code)
    assert matches(code, kind, code)


@given(code=CODES)
def test_a_filter_of_the_ledger_finds_what_the_group_holds(code: str) -> None:
    for group in (*GROUPS, group_of("delivery", code)):
        if "delivery" not in group.kinds:
            continue
        codes, is_negated = delivery_codes(group.key)
        assert (bool(re.fullmatch(codes.strip("^$"), code)) != is_negated) == matches(group.key, "delivery", code)
