"""The frames of a publish read back as what was published; frames of pushed messages join to whole messages."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pamqp import frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from shared.amqp.frames import ContentAssembler, encode_publish

text = st.text(st.characters(codec="utf-8"), max_size=40)


@given(
    exchange=text,
    key=text,
    body=st.binary(max_size=300),
    headers=st.dictionaries(text, text | st.integers(-(2**63), 2**63 - 1), max_size=4),
    correlation_id=st.integers(0, 2**64).map(str),
    limit=st.integers(1, 100),
)
def test_frames_written_by_hand_read_back_the_same(
    exchange: str, key: str, body: bytes, headers: dict[str, str | int], correlation_id: str, limit: int
) -> None:
    data = encode_publish(1, exchange, key, body, headers, correlation_id, body_limit_bytes=limit)
    frames = []
    while data:
        size, channel, each = frame.unmarshal(data)
        assert channel == 1
        frames.append(each)
        data = data[size:]
    method, header, *chunks = frames
    assert (method.exchange, method.routing_key, method.mandatory) == (exchange, key, True)
    assert header.body_size == len(body)
    assert b"".join(chunk.value for chunk in chunks) == body
    properties = header.properties
    assert properties.headers == headers
    assert (properties.delivery_mode, properties.content_type) == (2, "application/json")
    assert (properties.correlation_id, properties.message_id) == (correlation_id, None)


@given(bodies=st.lists(st.lists(st.binary(min_size=1, max_size=9), max_size=4), max_size=5))
def test_messages_join_from_any_number_of_body_frames_and_stay_apart(bodies: list[list[bytes]]) -> None:
    joined: list[tuple[Any, int | None, bytes]] = []
    content = ContentAssembler(lambda method, header, body: joined.append((method, header.body_size, body)))
    for number, chunks in enumerate(bodies):
        content.on_method(number)
        content.on_header(ContentHeader(body_size=sum(map(len, chunks))))
        for chunk in chunks:
            content.on_body(ContentBody(chunk))
    assert joined == [(number, len(b"".join(chunks)), b"".join(chunks)) for number, chunks in enumerate(bodies)]
