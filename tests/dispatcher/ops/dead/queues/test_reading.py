"""Any message in a dead-letter queue is read into a letter, with the same id each time."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dispatcher.ops.dead.letters import KINDS, Kind
from dispatcher.ops.dead.queues.reading import read, shown_message
from shared.amqp.frames import Message

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
def test_any_message_is_read_into_a_letter_with_the_same_id_each_time(kind: Kind, body: bytes, headers: dict) -> None:
    message = Message(1, body, headers, "key", False)
    found = read(kind, message)
    assert found.letter.kind == kind
    assert found.letter.cause is not None
    assert found.letter.id == read(kind, message).letter.id
    assert found.letter.died_at is None or found.letter.died_at.tzinfo is not None
    shown_message(kind, body)
