"""An answer is read the same however its bytes are cut; what a host may write and mean 2xx by is read as 2xx."""

import itertools
import time

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.egress.answer_reader import CHUNK_LINE_BYTES, HEAD_LIMIT_BYTES, AnswerReader, BadAnswer

Read = tuple[str, int, bytes, bool]
"""What became of it, the status, the body, and whether the connection may be kept."""

BAD, BROKEN, OPEN, COMPLETE = "bad", "broken", "open", "complete"


def read(*pieces: bytes, ends: bool = False, is_tunnel: bool = False) -> Read:
    reader = AnswerReader(is_tunnel=is_tunnel)
    try:
        for piece in pieces:
            if reader.is_complete:  # as a connection does: what comes now is not fed any more
                return COMPLETE, reader.status, reader.take(), False
            reader.feed(piece)
        if ends and not reader.is_complete:
            reader.feed_end()
    except BadAnswer:
        return BAD, 0, b"", False
    except ConnectionResetError:
        return BROKEN, 0, b"", False
    return COMPLETE if reader.is_complete else OPEN, reader.status, reader.take(), reader.is_reusable


OK = b"HTTP/1.1 200 OK\r\n"
KEPT = [
    (OK + b"Content-Length: 2\r\n\r\nok", 200, b"ok"),
    (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, b""),
    (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    (b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n", 204, b""),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 400\r\n\r\n", 304, b""),
    (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx", 200, b"x"),
    (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", 200, b"abcde"),
    (OK + b"transfer-encoding: CHUNKED\r\n\r\n00A\r\n0123456789\r\n0\r\nX-Trailer: a\r\n\r\n", 200, b"0123456789"),
    (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\nx",
        200,
        b"x",
    ),
    (b"\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\nx", 200, b"x"),
    (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 200, b"ok"),
    (OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
    (OK + b"Content-Length : 2\r\n\r\nok", 200, b"ok"),
    (OK + b"X: " + b"a" * 8_191 + b"\r\nContent-Length: 0\r\n\r\n", 200, b""),
    (OK + b"X: a\r\n" * 129 + b"Content-Length: 0\r\n\r\n", 200, b""),
    (b"HTTP/1.1 200 " + b"r" * 9_000 + b"\r\nContent-Length: 0\r\n\r\n", 200, b""),
    (OK + b"X: a\x00b\xff\x01\r\nno colon\r\n: no name\r\n folded\r\nContent-Length: 0\r\n\r\n", 200, b""),
    (OK + b"X: " + b"a" * (HEAD_LIMIT_BYTES - 100) + b"\r\nContent-Length: 0\r\n\r\n", 200, b""),
    # An encoding of the transfer that says that nothing was encoded, and chunks however they are announced.
    (OK + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
    (OK + b"Transfer-Encoding:\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
    *(
        (OK + b"Transfer-Encoding: %b\r\n\r\n2\r\nok\r\n0\r\n\r\n" % coding, 200, b"ok")
        for coding in (
            b"chunked,",
            b'"chunked"',
            b"Chunked;q=1",
            b"chunked, identity",
            b"chunked\r\nTransfer-Encoding: chunked",
        )
    ),
    (OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 20 + b"2\r\nok\r\n" + b"0" * 20 + b"\r\n\r\n", 200, b"ok"),
    (b"http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
]
COMPLETE_BUT_NOT_KEPT = [
    (b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nnull", 204, b""),
    (OK + b"Content-Length: 2\r\n\r\nok and more", 200, b"ok"),
    (OK + b"Content-Length: 2\r\n\r\nok\r\n", 200, b"ok"),
    (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nnull", 200, b"ok"),
    (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", 200, b"ok"),
    (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nnull", 200, b"ok"),
    (OK + b"Transfer-Encoding: chunked\r\nContent-Length: 7\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, b"ok"),
    (OK + b"Connection: close\r\nContent-Length: 0\r\n\r\n", 200, b""),
    (OK + b"Connection: x, Close\r\nContent-Length: 0\r\n\r\n", 200, b""),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, b"x"),
    (OK + b"Content-Length: two\r\n\r\n", 200, b""),
    (OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n", 200, b""),
    (OK + b"Content-Length: -1\r\n\r\n", 200, b""),
    (OK + b"X: a\r\n" * (HEAD_LIMIT_BYTES // 6), 200, b""),
    (OK + b"X: " + b"a" * HEAD_LIMIT_BYTES + b"\r\nContent-Length: 5\r\n\r\nabcde", 200, b""),
    (b"HTTP/1.1 503 Busy\r\n" + b"X: a\r\n" * (HEAD_LIMIT_BYTES // 6), 503, b""),
    (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", 101, b""),
    # No length at all, on a connection that the host keeps: it would never end.
    (OK + b"Content-Length:\r\n\r\n", 200, b""),
    (b"HTTP/1.1 205 Reset Content\r\n\r\n", 205, b""),
    (OK + b"Transfer-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
    (b"HTTP/2 200\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
    (OK + b"Connection: close;\r\nContent-Length: 0\r\n\r\n", 200, b""),
]
UNTIL_CLOSED = [
    (OK + b"\r\nuntil the end", 200, b"until the end"),
    (OK + b"\r\n", 200, b""),
    (OK + b"Transfer-Encoding: gzip\r\n\r\nxyz", 200, b"xyz"),
    (OK + b"Transfer-Encoding: identity\r\n\r\nxyz", 200, b"xyz"),
    (OK + b"Content-Length:\r\nConnection: close\r\n\r\nxyz", 200, b"xyz"),
    (b"HTTP/1.0 205 Reset Content\r\n\r\n", 205, b""),
]
BAD_ONES = [
    b"220 smtp ready\r\n\r\n",
    b"SSH-2.0-x\r\n",
    b"{}",
    b"HTTX",
    b"HTTP/1.1 OK\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\n\r\n",
    b"HTTP/1.1 099 OK\r\n\r\n",
    b"HTTP/1.1 000 OK\r\n\r\n",
    b"HTTP/11 200 OK\r\n\r\n",
    b"HTTP/1.1 200 " + b"r" * (HEAD_LIMIT_BYTES + 1),
    b"HTTP/1.1 103 Early\r\nX: a\r\n\r\n" * (HEAD_LIMIT_BYTES // 20),
    OK + b"Transfer-Encoding: chunked\r\n\r\nno number\r\n",
    OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n",
    OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * (CHUNK_LINE_BYTES + 2),
]
BROKEN_ONES = [
    b"",
    b"HTT",
    OK,
    OK + b"Content-Length: 3\r\n\r\nok",
    OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\no",
    OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
]


def cuts(data: bytes) -> list[list[bytes]]:
    """Return *data* whole, in bytes (only its ends if it is long), and in two pieces at each place."""
    short = data if len(data) < 400 else b""
    places = range(1, len(data)) if short else (*range(1, 60, 7), *range(len(data) - 60, len(data), 7))
    return [[data], [short[at : at + 1] for at in range(len(short))] or [data]] + [
        [data[:place], data[place:]] for place in places
    ]


@pytest.mark.parametrize(("data", "status", "body"), KEPT)
def test_a_complete_answer_is_complete_and_its_connection_kept_at_every_cut(
    data: bytes, status: int, body: bytes
) -> None:
    for pieces in cuts(data):
        what, *rest = read(*pieces)
        assert (what, *rest[:2]) == (COMPLETE, status, body), pieces[:2]
    assert read(data) == (COMPLETE, status, body, True)


@pytest.mark.parametrize(("data", "status", "body"), COMPLETE_BUT_NOT_KEPT)
def test_a_complete_answer_with_anything_odd_is_complete_and_its_connection_not_kept(
    data: bytes, status: int, body: bytes
) -> None:
    for pieces in cuts(data):
        assert read(*pieces)[:3] == (COMPLETE, status, body), pieces[:2]
    assert read(data)[3] is False


@pytest.mark.parametrize(("data", "status", "body"), UNTIL_CLOSED)
def test_without_a_length_the_answer_ends_with_the_connection(data: bytes, status: int, body: bytes) -> None:
    for pieces in cuts(data):
        assert read(*pieces)[0] == OPEN
        assert read(*pieces, ends=True) == (COMPLETE, status, body, False)


@pytest.mark.parametrize("data", BAD_ONES)
def test_what_is_not_http_is_bad_at_every_cut(data: bytes) -> None:
    for pieces in cuts(data):
        assert read(*pieces, ends=True)[0] == BAD, pieces[:2]


@pytest.mark.parametrize("data", BROKEN_ONES)
def test_an_answer_that_breaks_off_is_not_complete(data: bytes) -> None:
    for pieces in cuts(data):
        assert read(*pieces)[0] == OPEN
        assert read(*pieces, ends=True)[0] == BROKEN


def test_a_tunnel_begins_behind_the_head_whatever_it_says() -> None:
    assert read(OK + b"Content-Length: 5\r\n\r\n", is_tunnel=True)[:3] == (COMPLETE, 200, b"")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("timeout=5", 5.0), ("max=100, timeout = 5", 5.0), ('Timeout="7"', 7.0), ("max=3", None), ("", None), ("5", None)],
)
def test_how_long_the_host_keeps_the_connection(value: str, seconds: float | None) -> None:
    reader = AnswerReader()
    reader.feed(OK + f"Keep-Alive: {value}\r\nContent-Length: 0\r\n\r\n".encode())
    assert reader.kept_seconds == seconds


def test_repeated_headers_are_joined_and_folded_ones_unfolded() -> None:
    reader = AnswerReader()
    reader.feed(
        OK + b"Retry-After: 1\r\nretry-after: 2\r\nX: a\r\n b\r\nContent-Type: x\r\n  y\r\nContent-Length: 0\r\n\r\n"
    )
    assert reader.headers == {"retry-after": "1, 2", "content-type": "x y", "content-length": "0"}


token = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12).filter(lambda name: name != "-")
value = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30)


@given(
    status=st.sampled_from([200, 201, 202, 204, 299, 302, 404, 410, 429, 500, 503]),
    reason=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
    headers=st.lists(st.tuples(token.map("x-{}".format), value), max_size=6),
    body=st.binary(max_size=60),
    chunks=st.lists(st.integers(1, 20), max_size=5),
    ends_by=st.sampled_from(["length", "chunks", "close"]),
    places=st.lists(st.integers(0, 400), max_size=12),
)
def test_a_legal_answer_is_read_as_an_independent_parser_reads_it_at_any_cuts(
    status: int,
    reason: str,
    headers: list[tuple[str, str]],
    body: bytes,
    chunks: list[int],
    ends_by: str,
    places: list[int],
) -> None:
    body = b"" if status == 204 else body
    lines = [f"HTTP/1.1 {status} {reason}".encode(), *(f"{name}: {text}".encode() for name, text in headers)]
    if ends_by == "length":
        lines.append(b"Content-Length: %d" % len(body))
        payload = body
    elif ends_by == "chunks" and status != 204:
        lines.append(b"Transfer-Encoding: chunked")
        payload, rest = b"", body
        for size in [*chunks, len(body)]:
            piece, rest = rest[:size], rest[size:]
            payload += b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
        payload += b"0\r\n\r\n"
    else:
        payload = body
    data = b"\r\n".join(lines) + b"\r\n\r\n" + payload
    marks = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    pieces = [data[start:end] for start, end in itertools.pairwise(marks)]

    ours = read(*pieces, ends=True)
    theirs = h11.Connection(h11.CLIENT)
    theirs.send(h11.Request(method="POST", target="/", headers=[("Host", "x"), ("Content-Length", "0")]))
    theirs.send(h11.EndOfMessage())
    theirs.receive_data(data)
    theirs.receive_data(b"")
    answer = theirs.next_event()
    assert isinstance(answer, h11.Response)
    found = b""
    while not isinstance(event := theirs.next_event(), h11.EndOfMessage):
        assert isinstance(event, h11.Data)
        found += bytes(event.data)
    assert ours[:3] == (COMPLETE, answer.status_code, found)


@given(st.binary(max_size=120), st.lists(st.integers(0, 200), max_size=8), st.sampled_from([b"", OK, OK + b"\r\n"]))
def test_any_bytes_at_all_give_the_same_at_any_cuts(junk: bytes, places: list[int], before: bytes) -> None:
    data = before + junk
    marks = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    pieces = [data[start:end] for start, end in itertools.pairwise(marks)]
    assert read(*pieces, ends=True)[:3] == read(data, ends=True)[:3]


@pytest.mark.parametrize(
    "data",
    [
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 100_000,
        b"HTTP/1.1 103 Early\r\n\r\n" * 10_000,
        b"\r\n" * 300_000,
        OK + b"X: a\r\n" * 40_000,
    ],
)
def test_the_smallest_pieces_cost_no_more_than_their_own_reading(data: bytes) -> None:
    started = time.process_time()
    read(data)
    assert time.process_time() - started < 1.5
