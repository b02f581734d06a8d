"""What the broker says of its queues: by AMQP (depth, consumers), and by its management API if that is set."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from dispatcher.egress.target import public_url
from shared.amqp.addresses import vhost_of
from shared.amqp.channel import QueueDepth
from shared.amqp.session import broker_session
from shared.errors import FaxhookError
from shared.urls import parse_url

BROKER_SECONDS: Final = 5.0


class ApiAway(FaxhookError):
    """The management API does not answer, or not as it should; the message says how."""

    code = "api_away"


async def depths(amqp_url: str, names: Sequence[str]) -> dict[str, QueueDepth]:
    """Return the depth of those queues that the broker has.

    Raises:
        ConnectionLost, TimeoutError: It does not answer in time.
    """
    found: dict[str, QueueDepth] = {}
    async with (
        asyncio.timeout(2 * BROKER_SECONDS),
        broker_session(
            amqp_url, "faxhook queues", connect_seconds=BROKER_SECONDS, timeout_seconds=BROKER_SECONDS
        ) as broker,
    ):
        for name in names:
            if (depth := await broker.depth(name)) is not None:
                found[name] = depth
    return found


Name = Annotated[str, msgspec.Meta(max_length=255)]


class _Rate(msgspec.Struct):
    rate: float = 0.0


class _Stats(msgspec.Struct):
    publish_details: _Rate = msgspec.field(default_factory=_Rate)
    ack_details: _Rate = msgspec.field(default_factory=_Rate)


class ApiQueue(msgspec.Struct):
    """What the management API tells of a queue, as it writes it; a queue without traffic has no stats."""

    name: Name
    messages_ready: int = 0
    messages_unacknowledged: int = 0
    messages_dlx: int = 0
    message_stats: _Stats = msgspec.field(default_factory=_Stats)


async def api_queues(api_url: str, amqp_url: str) -> dict[str, ApiQueue]:
    """Return every queue of the vhost of *amqp_url* by name.

    Raises:
        ApiAway: It does not answer, or not as it should.
    """
    parts = parse_url(api_url)
    url = f"{public_url(api_url).rstrip('/')}/api/queues/{quote(vhost_of(amqp_url), safe='')}"
    headers = {}
    if parts.user is not None:
        headers["Authorization"] = aiohttp.encode_basic_auth(parts.user, parts.password or "")
    timeout = aiohttp.ClientTimeout(total=BROKER_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.get(URL(url, encoded=True), headers=headers) as response,
        ):
            body = await response.read()
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        raise ApiAway(f"RABBITMQ_API_URL does not answer ({type(error).__name__}): no rates") from error
    if response.status != 200:  # noqa: PLR2004 - HTTP
        raise ApiAway(f"RABBITMQ_API_URL answered {response.status}: no rates")
    try:
        return {queue.name: queue for queue in msgspec.json.decode(body, type=list[ApiQueue])}
    except msgspec.DecodeError:
        raise ApiAway("RABBITMQ_API_URL is not a management API: no rates") from None
