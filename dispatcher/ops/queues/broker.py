"""What the broker says of its queues: by AMQP (depth, consumers), and by its management API if that is set."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final
from urllib.parse import quote, unquote

import aio_pika
import aio_pika.exceptions
import aiohttp
import msgspec
from yarl import URL

from dispatcher.egress.client import public_url
from shared.errors import FaxhookError
from shared.urls import parse_url

BROKER_SECONDS: Final = 5.0


class BrokerAway(FaxhookError):
    """The broker does not answer."""

    code = "broker_away"


class ApiAway(FaxhookError):
    """The management API does not answer as one; the message says how."""

    code = "api_away"


class Depth(msgspec.Struct, frozen=True):
    """What AMQP tells of a queue: messages that are ready, and consumers."""

    messages: int
    consumers: int


async def depths(amqp_url: str, names: Sequence[str]) -> dict[str, Depth]:
    """Return the depth of those queues that the broker has.

    Raises:
        BrokerAway: It does not answer.
    """
    # In a task of its own: a connection that is being opened may swallow the cancellation of whoever waits for it.
    task = asyncio.create_task(_depths(amqp_url, names))
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    try:
        await asyncio.wait({task}, timeout=2 * BROKER_SECONDS)
    finally:
        task.cancel()
    if not task.done():
        raise BrokerAway("the broker does not answer in time: no depths")
    if (error := task.exception()) is not None:
        # aiormq raises what is none of its own; whatever it is, nobody answered
        raise BrokerAway(f"the broker does not answer ({type(error).__name__}): no depths") from error
    return task.result()


async def _depths(amqp_url: str, names: Sequence[str]) -> dict[str, Depth]:
    found: dict[str, Depth] = {}
    async with await aio_pika.connect(amqp_url, timeout=BROKER_SECONDS) as connection:
        channel = await connection.channel()
        for name in names:
            try:
                declared = (await channel.declare_queue(name, passive=True, timeout=BROKER_SECONDS)).declaration_result
            except aio_pika.exceptions.ChannelNotFoundEntity:
                channel = await connection.channel()  # the broker closes the one that asked
            else:
                found[name] = Depth(declared.message_count or 0, declared.consumer_count or 0)
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
    vhost = unquote(parse_url(amqp_url).path[1:]) or "/"
    url = f"{public_url(api_url).rstrip('/')}/api/queues/{quote(vhost, safe='')}"
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
        raise ApiAway("RABBITMQ_API_URL is no management API: no rates") from None
