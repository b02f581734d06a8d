"""A provider and an application as cheap as can be: HTTP/1.1 over kept-alive sockets, no parsing but lengths.

Their CPU time is not counted; they only must not be what the others wait for.
"""

import asyncio
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

MOST_REPEATED = 200
"""Of one load; more are an error, as every other refusal is."""

_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_FAX_ID = re.compile(rb'"id": ?"?(\d+)')
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def request_of(target: str, headers: dict[str, str], body: bytes) -> bytes:
    lines = [f"POST {target} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + _END + body


class _Messages(asyncio.Protocol):
    """Cuts what comes into messages."""

    def __init__(self) -> None:
        self._buffer = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(_END)) >= 0:
            head = self._buffer[:end].lower()
            at = head.find(_LENGTH)
            length = int(head[at + len(_LENGTH) :].partition(b"\r\n")[0]) if at >= 0 else 0
            if len(self._buffer) < end + len(_END) + length:
                return
            start = end + len(_END)
            body, self._buffer = self._buffer[start : start + length], self._buffer[start + length :]
            self.message(head, body)

    def message(self, head: bytes, body: bytes) -> None:
        raise NotImplementedError


class _Lane(_Messages):
    """One connection of the provider: one request at a time."""

    def __init__(self, provider: "_Provider") -> None:
        super().__init__()
        self._provider = provider
        self._request = b""
        self._due_at = 0.0

    def send(self, request: bytes, due_at: float) -> None:
        self._request, self._due_at = request, due_at
        self.transport.write(request)

    def message(self, head: bytes, _body: bytes) -> None:
        if head[9:12] == b"503" and self._provider.may_repeat():
            self.transport.write(self._request)
        else:
            self._provider.answered(self, head[9:12], time.perf_counter() - self._due_at)

    def connection_lost(self, _error: Exception | None) -> None:
        self._provider.lost()


class _Provider:
    """Sends requests when they are due, each on a free lane; waits for a lane if all are taken."""

    def __init__(self, requests: Sequence[bytes]) -> None:
        self.free: deque[_Lane] = deque()
        self.sent_at: list[float] = []
        self.seconds: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._due: deque[float] = deque()
        self._refused: set[bytes] = set()
        self._repeated = 0

    def may_repeat(self) -> bool:
        """Return whether what was answered 503 is sent again, as providers do: on a busy machine a confirm may be late."""
        self._repeated += 1
        return self._repeated <= MOST_REPEATED

    def come_due(self, count: int, due_at: float) -> None:
        """Let *count* requests be due."""
        self._due.extend([due_at] * count)
        self._send_due()

    def answered(self, lane: _Lane, status: bytes, seconds: float) -> None:
        if status != b"200":
            self._refused.add(status)
        self.seconds.append(seconds)
        self.free.append(lane)
        if len(self.seconds) < len(self._requests):
            self._send_due()
        elif not self.done.done() and self._refused:
            self.done.set_exception(AssertionError(f"not all were answered 200: {sorted(self._refused)}"))
        elif not self.done.done():
            self.done.set_result(None)

    def lost(self) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError("the server closed the connection"))

    def _send_due(self) -> None:
        while self._due and self.free:
            due_at = self._due.popleft()
            self.sent_at.append(due_at)
            self.free.popleft().send(self._requests[len(self.sent_at) - 1], due_at)


@dataclass(frozen=True)
class Sent:
    """What came of a load: *due_at* of each request, by `time.perf_counter`; *seconds* from then to each answer."""

    due_at: list[float]
    seconds: list[float]
    elapsed_seconds: float


async def post_all(port: int, requests: Sequence[bytes], lanes: int, per_second: float | None = None) -> Sent:
    """Send every request; all must be answered 200, after some repetitions of a 503 at most.

    Args:
        port: On loopback.
        requests: As they are written to the socket.
        lanes: Connections, and requests under way at most.
        per_second: The pace: request *n* is due *n* / *per_second* after the first, whether or not others were answered.
            None: as fast as the lanes allow.
    """
    loop = asyncio.get_running_loop()
    provider = _Provider(requests)
    for _ in range(min(lanes, len(requests))):
        _, lane = await loop.create_connection(lambda: _Lane(provider), "127.0.0.1", port)
        provider.free.append(lane)
    transports = [lane.transport for lane in provider.free]
    started = time.perf_counter()
    if per_second is None:
        provider.come_due(len(requests), started)
    else:
        due = 0
        while due < len(requests) and not provider.done.done():
            now_due = min(len(requests), int((time.perf_counter() - started) * per_second) + 1)
            if now_due > due:
                provider.come_due(now_due - due, started + (now_due - 1) / per_second)
                due = now_due
            await asyncio.sleep(max(0.0, started + due / per_second - time.perf_counter()))  # the pace
    if requests:
        await provider.done
    elapsed = time.perf_counter() - started
    provider.done.cancel()
    for transport in transports:
        transport.close()
    return Sent(provider.sent_at, provider.seconds, elapsed)


class Application:
    """Answers every webhook 200, at once or after *answer_seconds*, counts them, and knows when each fax was told.

    Attributes:
        arrivals: The numbers of the faxes and when each came, by `time.perf_counter`, in the order of their coming.
    """

    def __init__(self, answer_seconds: float = 0.0) -> None:
        self.answer_seconds = answer_seconds
        self.answer = ANSWER
        self.arrivals: list[tuple[int, float]] = []
        self.port = 0

    @property
    def count(self) -> int:
        return len(self.arrivals)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def told(self, body: bytes) -> None:
        found = _FAX_ID.search(body)
        self.arrivals.append((int(found[1]) if found else 0, time.perf_counter()))

    async def got(self, count: int, seconds: float) -> None:
        """Wait until *count* came."""
        try:
            async with asyncio.timeout(seconds):
                while self.count < count:
                    await asyncio.sleep(0.001)  # what it waits for is in another task of this loop
        except TimeoutError:
            raise AssertionError(f"of {count} webhooks {self.count} came within {seconds} s") from None


class _Receiving(_Messages):
    def __init__(self, application: Application) -> None:
        super().__init__()
        self._application = application

    def message(self, _head: bytes, body: bytes) -> None:
        self._application.told(body)
        if self._application.answer_seconds:
            loop = asyncio.get_running_loop()
            loop.call_later(self._application.answer_seconds, self.transport.write, self._application.answer)
        else:
            self.transport.write(self._application.answer)


@asynccontextmanager
async def applying(answer_seconds: float = 0.0) -> AsyncIterator[Application]:
    """Run an application on a free loopback port."""
    application = Application(answer_seconds)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Receiving(application), "127.0.0.1", 0)
    application.port = server.sockets[0].getsockname()[1]
    try:
        yield application
    finally:
        server.close()
