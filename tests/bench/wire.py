"""A provider and an application as cheap as can be: HTTP/1.1 over kept-alive sockets, no parsing but lengths.

Their CPU time is not counted; they only must not be what the others wait for.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import asynccontextmanager

_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
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
            head, self._buffer = self._buffer[:end], self._buffer[end + len(_END) + length :]
            self.message(head)

    def message(self, head: bytes) -> None:
        raise NotImplementedError


class _Lane(_Messages):
    """One connection of the provider: the next request when the last is answered."""

    def __init__(self, requests: Iterator[bytes], done: "asyncio.Future[None]", statuses: list[bytes]) -> None:
        super().__init__()
        self._requests, self._done, self._statuses = requests, done, statuses

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._next()

    def message(self, head: bytes) -> None:
        self._statuses.append(head[9:12])
        self._next()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(ConnectionError("the server closed the connection"))

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is not None:
            self.transport.write(request)
        elif not self._done.done():
            self._done.set_result(None)


async def post_all(port: int, requests: Sequence[bytes], lanes: int) -> None:
    """Send every request, *lanes* at a time; all must be answered 200."""
    loop = asyncio.get_running_loop()
    remaining, statuses = iter(requests), []
    done = [loop.create_future() for _ in range(lanes)]
    transports = [
        (await loop.create_connection(lambda each=each: _Lane(remaining, each, statuses), "127.0.0.1", port))[0]
        for each in done
    ]
    await asyncio.gather(*done)
    for transport in transports:
        transport.close()
    if statuses != [b"200"] * len(requests):
        raise AssertionError(f"not all were answered 200: {sorted(set(statuses))}, {len(statuses)} answers")


class Application:
    """Answers every webhook 200 and counts them."""

    def __init__(self) -> None:
        self.count = 0
        self.last_at = 0.0
        self.port = 0

    def told(self) -> None:
        self.count += 1
        self.last_at = time.perf_counter()

    async def got(self, count: int, seconds: float) -> None:
        """Wait until *count* came."""
        async with asyncio.timeout(seconds):
            while self.count < count:
                await asyncio.sleep(0.001)  # what it waits for is in another task of this loop


class _Receiving(_Messages):
    def __init__(self, application: Application) -> None:
        super().__init__()
        self._application = application

    def message(self, _head: bytes) -> None:
        self._application.told()
        self.transport.write(ANSWER)


@asynccontextmanager
async def applying():
    """Run an application on a free loopback port."""
    application = Application()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Receiving(application), "127.0.0.1", 0)
    application.port = server.sockets[0].getsockname()[1]
    try:
        yield application
    finally:
        server.close()
