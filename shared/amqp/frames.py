"""The frames of a message, pure: those of a publish written, those of a pushed message put together.

A message is a method frame, a header frame, and as many body frames as its size needs (AMQP 0-9-1, section 4.2.6). The
frames of a publish are written by hand because that is done for every message; the tests read them back with pamqp.
"""

import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec
from pamqp.body import ContentBody
from pamqp.header import ContentHeader


class Message(msgspec.Struct, frozen=True):
    """A message that the broker pushed. `tag` is valid on its own channel only."""

    tag: int
    body: bytes
    headers: dict[str, Any]
    routing_key: str
    redelivered: bool


class ContentAssembler:
    """Joins a method that carries content with the header and body frames after it.

    `on_content(method, header, body)` is called when the body is complete.
    """

    def __init__(self, on_content: Callable[[Any, ContentHeader, bytes], None]) -> None:
        self._on_content = on_content
        self._method: Any = None
        self._header: ContentHeader | None = None
        self._chunks: list[bytes] = []
        self._missing_bytes = 0

    def on_method(self, method: Any) -> None:
        """Take the method frame (`basic.deliver`, `basic.return`)."""
        self._method = method

    def on_header(self, header: ContentHeader) -> None:
        """Take the header frame. An empty body has no frame of its own."""
        self._header, self._chunks, self._missing_bytes = header, [], header.body_size
        if not header.body_size:
            self._on_content(self._method, header, b"")

    def on_body(self, body: ContentBody) -> None:
        """Take a body frame."""
        assert self._header is not None, "a body frame follows its header"
        self._chunks.append(body.value)
        self._missing_bytes -= len(body.value)
        if self._missing_bytes <= 0:
            chunks, self._chunks = self._chunks, []
            self._on_content(self._method, self._header, chunks[0] if len(chunks) == 1 else b"".join(chunks))


_FRAME: Final = struct.Struct(">BHI")
_HEADER_TO_TABLE: Final = struct.Struct(">BHIHHQH17sI")
"""The header frame up to its table: type, channel, size; class, weight, body size, flags; content type, table size."""

_HEADER_AFTER_TABLE: Final = struct.Struct(">BB")
"""Delivery mode, and the length of the correlation id that follows."""

_HEADER_FIXED_BYTES: Final = 2 + 2 + 8 + 2 + 17 + 4 + 1 + 1
_TEXT: Final = struct.Struct(">cI")
_INTEGER: Final = struct.Struct(">cq")
_BASIC: Final = 60
_PUBLISH: Final = 40
_MANDATORY: Final = b"\x01"
_CONTENT_TYPE: Final = b"\x10application/json"
_PERSISTENT: Final = 2
_FLAGS: Final = 0x8000 | 0x2000 | 0x1000 | 0x0400  # content type, headers, delivery mode, correlation id
_FRAME_END: Final = b"\xce"
_METHOD, _HEADER, _BODY = 1, 2, 3


def encode_publish(
    channel: int,
    exchange: str,
    routing_key: str,
    body: bytes,
    headers: Mapping[str, str | int],
    correlation_id: str,
    *,
    body_limit_bytes: int,
) -> bytes:
    """Return the frames of a persistent, mandatory publish of JSON.

    `correlation_id` carries our tag, by which a returned message is known; `message_id` stays empty.
    """
    table = b"".join([_name(name) + _value(value) for name, value in headers.items()])
    tag = correlation_id.encode()
    size = _HEADER_FIXED_BYTES + len(table) + len(tag)
    frames = [
        _method_frame(channel, exchange, routing_key),
        _HEADER_TO_TABLE.pack(_HEADER, channel, size, _BASIC, 0, len(body), _FLAGS, _CONTENT_TYPE, len(table)),
        table,
        _HEADER_AFTER_TABLE.pack(_PERSISTENT, len(tag)),
        tag,
        _FRAME_END,
    ]
    for start in range(0, len(body), body_limit_bytes):
        chunk = body[start : start + body_limit_bytes]
        frames += [_FRAME.pack(_BODY, channel, len(chunk)), chunk, _FRAME_END]
    return b"".join(frames)


@lru_cache(maxsize=1024)
def _method_frame(channel: int, exchange: str, routing_key: str) -> bytes:
    """Return the frame of `basic.publish`: there are few routing keys, and each is published to again and again."""
    method = struct.pack(">HHH", _BASIC, _PUBLISH, 0) + _short(exchange) + _short(routing_key) + _MANDATORY
    return _FRAME.pack(_METHOD, channel, len(method)) + method + _FRAME_END


def _short(text: str) -> bytes:
    encoded = text.encode()
    return bytes((len(encoded),)) + encoded


_name: Final = lru_cache(maxsize=64)(_short)
"""The name of a header: the same few with each message."""


def _value(value: str | int) -> bytes:
    if isinstance(value, int):
        return _INTEGER.pack(b"l", value)
    encoded = value.encode()
    return _TEXT.pack(b"S", len(encoded)) + encoded
