"""Reads one HTTP/1 answer from its bytes, however they are cut: the same bytes give the same answer. Pure.

It takes what a receiver may write and be told nevertheless: long heads and reasons, headers that are not well formed,
bytes behind the end. The limit protects us; past it what was read of the head decides.

| the answer | its body ends |
|---|---|
| 1xx but 101 | it is followed by the answer proper |
| 101, 204, 304, 2xx to CONNECT | with its head |
| `Transfer-Encoding: chunked` | with its last chunk |
| `Content-Length` | after so many bytes |
| a `Content-Length` that is not a number, or several different ones | with its head |
| an empty `Content-Length`, or 205 without one, and the host does not say that it closes | with its head |
| neither, or only another transfer encoding, other than an empty one and `identity` | with the connection |
"""

import re
from enum import Enum
from typing import Final

HEAD_LIMIT_BYTES: Final = 256 * 1024
"""Of a head, interim answers before it included."""

CHUNK_LINE_BYTES: Final = 16 * 1024

_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
_LINE_END: Final = re.compile(rb"\r?\n")
_NO_LINES: Final = re.compile(rb"[\r\n]*")
"""Some servers end a body by a line too many."""

_READ_HEADERS: Final = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "date",
        "keep-alive",
        "proxy-authenticate",
        "retry-after",
        "transfer-encoding",
    }
)
_FIRST_LETTERS: Final = frozenset(letter.encode() for name in _READ_HEADERS for letter in (name[0], name[0].upper()))
"""A head may hold forty thousand headers; those that are not read cost next to nothing."""

_STATUS_LINE: Final = re.compile(rb"HTTP/([0-9])(?:\.([0-9]))?[ \t]+([1-9][0-9]{2})(?![0-9])", re.IGNORECASE)
_CHUNK_SIZE: Final = re.compile(rb"[ \t]*0*([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?", re.DOTALL)
_TIMEOUT: Final = re.compile(r"(?:^|[,;\s])timeout\s*=\s*\"?([0-9]{1,9})", re.IGNORECASE)
_BEGINNING: Final = b"HTTP/"
_WITHOUT_BODY: Final = frozenset({101, 204, 304})
_RESET_CONTENT: Final = 205
_NO_CODINGS: Final = frozenset({"", "identity", "none"})


class BadAnswer(Exception):
    """What came is not an HTTP answer."""

    code = "bad_answer"


_Part = Enum("_Part", ["HEAD", "LENGTH", "CHUNK_SIZE", "CHUNK", "CHUNK_END", "UNTIL_CLOSED", "DONE"])


class AnswerReader:
    """One answer.

    Attributes:
        status: 100 to 999; 0 until the head is complete.
        headers: Those that are read, by lower-case name; values of a repeated name joined by commas.
        has_begun: A byte of it came.
        is_headed: The head is complete.
        is_complete: So is the body.
        buffered_bytes: Of the body, not yet taken.
    """

    def __init__(self, *, is_tunnel: bool = False) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.has_begun = False
        self.is_headed = False
        self.buffered_bytes = 0
        self._is_tunnel = is_tunnel
        self._buffer = b""
        self._at = 0
        self._searched = 0
        self._interim_bytes = 0
        self._part = _Part.HEAD
        self._left_bytes = 0
        self._body: list[bytes] = []
        self._may_be_kept = True
        self._version = b""

    @property
    def is_complete(self) -> bool:
        """Has all of the answer come?"""
        return self._part is _Part.DONE

    @property
    def ends_with_connection(self) -> bool:
        """Is its body whatever comes until the connection ends?"""
        return self._part is _Part.UNTIL_CLOSED

    @property
    def is_reusable(self) -> bool:
        """May the next request be sent on this connection?"""
        return self._part is _Part.DONE and self._may_be_kept and self._at == len(self._buffer)

    @property
    def kept_seconds(self) -> float | None:
        """For how long the host keeps the connection, by its `Keep-Alive`; None if it does not say."""
        found = _TIMEOUT.search(self.headers.get("keep-alive", ""))
        return float(found[1]) if found else None

    @property
    def length(self) -> int | None:
        """Bytes of the body, where the head says them."""
        text = self.headers.get("content-length", "")
        return int(text) if text.isascii() and text.isdigit() else None

    def take(self) -> bytes:
        """Return what came of the body since the last call."""
        body, self._body, self.buffered_bytes = self._body, [], 0
        return body[0] if len(body) == 1 else b"".join(body)

    def feed(self, data: bytes) -> None:
        """Read *data*, which follows what was fed before.

        Raises:
            BadAnswer: It is not HTTP, or its chunks are not.
        """
        self.has_begun = True
        # What is read stays in the buffer until more comes: cutting it off for each chunk would copy it each time.
        self._buffer, self._at = self._buffer[self._at :] + data, 0
        while self._step():
            pass

    def feed_end(self) -> None:
        """The connection ended after what was fed.

        Raises:
            ConnectionResetError: The answer is not complete.
            BadAnswer: What there is of it is not HTTP.
        """
        if self._part is _Part.UNTIL_CLOSED:
            self._part = _Part.DONE
        self._may_be_kept = False
        if self._part is not _Part.DONE:
            raise ConnectionResetError("the connection ended before the answer did")

    def _step(self) -> bool:
        """Read a piece; False once more bytes are needed, or none are."""
        match self._part:
            case _Part.HEAD:
                return self._read_head()
            case _Part.LENGTH | _Part.CHUNK:
                return self._read_body()
            case _Part.CHUNK_SIZE | _Part.CHUNK_END:
                return self._read_chunk_line()
            case _Part.UNTIL_CLOSED:
                self._keep(len(self._buffer) - self._at)
                return False
            case _Part.DONE:
                return False

    def _read_head(self) -> bool:
        if self._searched < len(_BEGINNING):
            self._at = _NO_LINES.match(self._buffer, self._at).end()  # type: ignore[union-attr]  # it always matches
            if not _BEGINNING.startswith(self._buffer[self._at : self._at + len(_BEGINNING)].upper()):
                raise BadAnswer("the answer does not begin as HTTP does")
        end = _HEAD_END.search(self._buffer, self._at + max(0, self._searched - 3))
        head_bytes = (len(self._buffer) if end is None else end.end()) - self._at
        if self._interim_bytes + head_bytes > HEAD_LIMIT_BYTES:
            self._end_within_head()
            return False
        if end is None:
            self._searched = head_bytes
            return False
        lines = _LINE_END.split(self._buffer[self._at : end.start()])
        self._at, self._searched = end.end(), 0
        self._read_status(lines[0])
        if 100 <= self.status < 200 and self.status != 101:  # noqa: PLR2004 - HTTP
            self._interim_bytes += head_bytes
            return self._at < len(self._buffer)
        self._read_headers(lines[1:])
        self._begin_body()
        return True

    def _end_within_head(self) -> None:
        """The head is over the limit: what was read of it decides, and the rest is not read."""
        left_bytes = max(0, HEAD_LIMIT_BYTES - self._interim_bytes)
        lines = _LINE_END.split(self._buffer[self._at : self._at + left_bytes])
        if len(lines) == 1:
            raise BadAnswer("the head of the answer is too long")
        self._read_status(lines[0])
        if self.status < 200:  # noqa: PLR2004 - HTTP
            raise BadAnswer("the interim answers do not end")
        self._read_headers(lines[1:-1])
        self.is_headed, self._may_be_kept, self._part = True, False, _Part.DONE

    def _read_status(self, line: bytes) -> None:
        found = _STATUS_LINE.match(line)
        if found is None:
            raise BadAnswer("the answer has no status line")
        self._version, self.status = found[1] + (found[2] or b"0"), int(found[3])

    def _read_headers(self, lines: list[bytes]) -> None:
        name = ""
        for line in lines:
            if line[:1] in {b" ", b"\t"}:  # a continued line, as old servers write them
                if name:
                    self.headers[name] += f" {line.strip().decode('latin-1')}"
                continue
            raw_name, separator, raw_value = line.partition(b":")
            name = raw_name.strip().lower().decode("latin-1") if separator and line[:1] in _FIRST_LETTERS else ""
            if name not in _READ_HEADERS:
                name = ""
                continue
            value = raw_value.strip().decode("latin-1")
            known = self.headers.get(name)
            self.headers[name] = value if known is None else f"{known}, {value}"

    def _begin_body(self) -> None:
        self.is_headed = True
        tokens = self._listed("connection")
        self._may_be_kept = "close" not in tokens and (self._version == b"11" or "keep-alive" in tokens)
        codings = [name for name in self._listed("transfer-encoding") if name not in _NO_CODINGS]
        lengths = {text.strip() for text in self.headers.get("content-length", "").split(",") if text.strip()}
        if self.status in _WITHOUT_BODY or (self._is_tunnel and 200 <= self.status < 300):  # noqa: PLR2004 - HTTP
            self._may_be_kept = self._may_be_kept and self.status != 101  # noqa: PLR2004 - HTTP
            self._part = _Part.DONE
        elif "chunked" in codings[-1:]:
            self._may_be_kept, self._part = self._may_be_kept and not lengths, _Part.CHUNK_SIZE
        elif not lengths:
            # A host that keeps the connection waits for the next request: there is no end to wait for.
            is_over = "content-length" in self.headers or (self.status == _RESET_CONTENT and not codings)
            self._part = _Part.DONE if is_over and self._may_be_kept else _Part.UNTIL_CLOSED
            self._may_be_kept = False
        else:
            length = lengths.pop()
            if lengths or not (length.isascii() and length.isdigit()) or len(length) > 15:  # noqa: PLR2004 - a petabyte
                self._may_be_kept, self._part = False, _Part.DONE
            else:
                self._may_be_kept = self._may_be_kept and not codings
                self._left_bytes = int(length)
                self._part = _Part.LENGTH if self._left_bytes else _Part.DONE

    def _listed(self, name: str) -> list[str]:
        """Return what the header *name* lists, lower-case, without quotes and parameters."""
        return [part.partition(";")[0].strip(' \t"').lower() for part in self.headers.get(name, "").split(",")]

    def _keep(self, count: int) -> None:
        """Keep the next *count* bytes for `take`."""
        if count:
            self._body.append(self._buffer[self._at : self._at + count])
            self._at += count
            self.buffered_bytes += count

    def _read_body(self) -> bool:
        count = min(self._left_bytes, len(self._buffer) - self._at)
        self._keep(count)
        self._left_bytes -= count
        if not self._left_bytes:
            self._part = _Part.DONE if self._part is _Part.LENGTH else _Part.CHUNK_END
        return not self._left_bytes

    def _read_chunk_line(self) -> bool:
        end = _LINE_END.search(self._buffer, self._at)
        # Without its end, the last byte may be a CR that belongs to it.
        line_bytes = (len(self._buffer) - 1 if end is None else end.start()) - self._at
        if line_bytes > CHUNK_LINE_BYTES:
            raise BadAnswer("the size of a chunk cannot be read")
        if end is None:
            return False
        line, self._at = self._buffer[self._at : end.start()], end.end()
        if self._part is _Part.CHUNK_END:
            if line.strip():
                raise BadAnswer("a chunk is longer than its size")
            self._part = _Part.CHUNK_SIZE
            return True
        found = _CHUNK_SIZE.fullmatch(line)
        if found is None:
            raise BadAnswer("the size of a chunk cannot be read")
        self._left_bytes = int(found[1], 16)
        if self._left_bytes:
            self._part = _Part.CHUNK
        else:
            self._end_chunks()
        return True

    def _end_chunks(self) -> None:
        """The last chunk came: nothing of the body is missing, whatever follows. A trailer that is here is skipped."""
        self._part = _Part.DONE
        end = _LINE_END.match(self._buffer, self._at) or _HEAD_END.search(self._buffer, self._at)
        if end is None:
            self._may_be_kept = False
        else:
            self._at = end.end()
