"""An application's receiver: a real HTTP server that records what it is sent and answers as the test says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from aiohttp import web
from waiting import until

from shared.forms import Form, read_form
from shared.signatures import sign_phaxio

Answer = Callable[["Received"], Any]


@dataclass(frozen=True)
class Received:
    """One webhook as it came. *at* is on the monotonic clock, in seconds."""

    target: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=monotonic)

    @property
    def event_id(self) -> str:
        return self.headers["X-Faxhook-Event-Id"]

    @property
    def delivery_id(self) -> str:
        return self.headers["X-Faxhook-Delivery-Id"]

    @property
    def attempt(self) -> int:
        return int(self.headers["X-Faxhook-Attempt"])

    @property
    def form(self) -> Form:
        return read_form(self.headers["Content-Type"], self.body)

    def phaxio_signature_matches(self, url: str, token: str) -> bool:
        """Return whether the signature is the one that an application of Phaxio computes."""
        form = self.form
        expected = sign_phaxio(token, url, form.fields, [(part.name, part.content) for part in form.files])
        return self.headers.get("X-Phaxio-Signature") == expected


class Receiver:
    """What was received so far, and how it answers: 200 unless `answer` says otherwise."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.base_url = ""
        self.answer: Answer = lambda _received: 200

    @property
    def url(self) -> str:
        return f"{self.base_url}/hook?account=1&tag=a%2Bb"

    async def got(self, count: int, seconds: float = 15.0) -> list[Received]:
        """Wait until *count* webhooks came and return all."""
        await until(lambda: len(self.received) >= count, f"{count} webhooks, {len(self.received)} came", seconds)
        return list(self.received)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        received = Received(request.raw_path, dict(request.headers), await request.read())
        self.received.append(received)
        answer = self.answer(received)
        if asyncio.iscoroutine(answer):
            answer = await answer
        return answer if isinstance(answer, web.StreamResponse) else web.Response(status=answer)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Run a receiver on a free loopback port."""
    receiver = Receiver()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{tail:.*}", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        await runner.cleanup()
