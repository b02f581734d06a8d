"""The broker topology of faxhook as data, and its declaration.

Everything that dead-letters, waits or routes is here once. The services declare nothing: they run with least privilege,
and `verify` tells them at start if something is missing. `faxhook topology` declares.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, Final, Literal, TypeVar

import msgspec
from pamqp import commands

from shared.amqp.channel import ChannelClosed
from shared.amqp.errors import ConnectionLost
from shared.amqp.rights import ACCESS_REFUSED, verify_rights
from shared.amqp.session import PRECONDITION_FAILED, broker_session
from shared.backoff import DEFER_WAITS_SECONDS, wait_name
from shared.errors import Misconfigured

FAX_IN: Final = "fax.in"
FAX_WORK: Final = "fax.work"
FAX_RETRY: Final = "fax.retry"
FAX_DEAD: Final = "fax.dead"

WORK_EVENTS: Final = "work.events"
WORK_DELIVERIES: Final = "work.deliveries"

DEAD_CALLBACK: Final = "callback"
DEAD_EVENT: Final = "event"
DEAD_DELIVERY: Final = "delivery"

WORK_KEY: Final = "delivery"
"""Routing key of a delivery put back into `fax.work`, whose one queue takes them all."""

DEFER_QUEUES: Final = "defer."
"""How the names of the queues begin in which deliveries are held back."""

FIRST_DEATH_QUEUE: Final = "x-first-death-queue"
"""The header in which the broker says which queue a message was first dead-lettered from."""

WORK_DELIVERY_LIMIT: Final = 50
"""A backstop only: our own code parks poison long before. Small limits kill the healthy neighbours of a crash loop."""

DEAD_DELIVERY_LIMIT: Final = 1_000_000
"""Browsing a dead-letter queue returns every message; the default of 20 (RabbitMQ 4) would delete them."""

Value = TypeVar("Value")

TOPOLOGY_RETRY_SECONDS: Final = 1.0
CONNECT_SECONDS: Final = 10.0


class Exchange(msgspec.Struct, frozen=True):
    """A durable exchange."""

    name: str
    kind: str


class Queue(msgspec.Struct, frozen=True):
    """A durable quorum queue, bound to one exchange by one key, with the arguments beside `x-queue-type`."""

    name: str
    exchange: str
    key: str
    arguments: dict[str, str | int]

    def all_arguments(self) -> dict[str, str | int]:
        """Return the arguments as they are declared."""
        return {"x-queue-type": "quorum", **self.arguments}


class Topology(msgspec.Struct, frozen=True):
    """Everything the broker must hold."""

    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]


class TopologyError(Misconfigured):
    """The broker lacks something, or holds it with other arguments."""

    code = "topology"


def retry_queue(wait_seconds: float) -> str:
    """Return the name of the queue in which a retry waits, e.g. `retry.5m`; it is the routing key as well."""
    return f"retry.{wait_name(wait_seconds)}"


def defer_queue(wait_seconds: float) -> str:
    """Return the name of the queue in which a delivery that is held back waits, e.g. `defer.1m`."""
    return f"{DEFER_QUEUES}{wait_name(wait_seconds)}"


def topology(backoff: Sequence[float]) -> Topology:
    """Return the topology for a table of waits, in seconds. One delay queue for each distinct wait."""
    waits = sorted({(retry_queue(wait), wait) for wait in backoff}, key=lambda pair: pair[1])
    waits += [(defer_queue(wait), wait) for wait in DEFER_WAITS_SECONDS]
    return Topology(
        exchanges=(
            Exchange(FAX_IN, "topic"),
            Exchange(FAX_WORK, "topic"),
            Exchange(FAX_RETRY, "direct"),
            Exchange(FAX_DEAD, "direct"),
        ),
        queues=(
            _work_queue(WORK_EVENTS, FAX_IN, DEAD_EVENT),
            _work_queue(WORK_DELIVERIES, FAX_WORK, DEAD_DELIVERY),
            *(_delay_queue(name, wait) for name, wait in waits),
            _dead_queue("dead.callbacks", DEAD_CALLBACK),
            _dead_queue("dead.events", DEAD_EVENT),
            _dead_queue("dead.deliveries", DEAD_DELIVERY),
        ),
    )


def _safe_dead_lettering(exchange: str) -> dict[str, str | int]:
    # All four belong together: without any one of them the broker falls back silently to at-most-once.
    return {
        "x-dead-letter-exchange": exchange,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def _work_queue(name: str, exchange: str, dead_key: str) -> Queue:
    # Without a dead-letter key a dead letter keeps its own key, matches no dead queue, and stays in the source queue,
    # where no consumer gets it.
    return Queue(
        name,
        exchange,
        "#",
        {
            **_safe_dead_lettering(FAX_DEAD),
            "x-dead-letter-routing-key": dead_key,
            "x-delivery-limit": WORK_DELIVERY_LIMIT,
        },
    )


def _delay_queue(name: str, wait_seconds: float) -> Queue:
    return Queue(name, FAX_RETRY, name, {**_safe_dead_lettering(FAX_WORK), "x-message-ttl": round(wait_seconds * 1000)})


def _dead_queue(name: str, key: str) -> Queue:
    return Queue(name, FAX_DEAD, key, {"x-overflow": "reject-publish", "x-delivery-limit": DEAD_DELIVERY_LIMIT})


async def declare(amqp_url: str, wanted: Topology) -> None:
    """Declare *wanted*; what exists stays as it is.

    Raises:
        TopologyError: Something exists with other arguments, and is not changed. A changed table makes queues of other
            names, so it was declared by hand.
        ConnectionLost: The broker is away, or refuses.
    """
    async with broker_session(amqp_url, "faxhook topology", connect_seconds=CONNECT_SECONDS) as broker:
        try:
            for exchange in wanted.exchanges:
                await broker.call(
                    commands.Exchange.Declare(exchange=exchange.name, exchange_type=exchange.kind, durable=True)
                )
            for queue in wanted.queues:
                arguments: Any = queue.all_arguments()
                await broker.call(commands.Queue.Declare(queue=queue.name, durable=True, arguments=arguments))
                await broker.call(commands.Queue.Bind(queue=queue.name, exchange=queue.exchange, routing_key=queue.key))
        except ChannelClosed as error:
            if error.reply_code != PRECONDITION_FAILED:
                raise
            raise TopologyError(
                f"the broker holds it with other arguments: {error.reply_text}. Move its messages, delete it, "
                "declare again"
            ) from error


async def verify(amqp_url: str, exchanges: Sequence[str], queues: Sequence[str]) -> None:
    """Check that what a service uses is there, without any permission to configure.

    RabbitMQ 4.2.7 and newer answers only those who have some right on a thing; what it does not answer is passed over.

    Raises:
        TopologyError: Names what is missing and says what to do.
        ConnectionLost: The broker is away.
    """
    async with broker_session(amqp_url, "faxhook topology", connect_seconds=CONNECT_SECONDS) as broker:
        for exchange in exchanges:
            if not await _unless_refused(broker.has_exchange(exchange)):
                raise TopologyError(f"the broker has no exchange `{exchange}`: run `faxhook topology` first")
        for queue in queues:
            if await _unless_refused(broker.depth(queue)) is None:
                raise TopologyError(f"the broker has no queue `{queue}`: run `faxhook topology` first")


async def _unless_refused(question: Awaitable[Value]) -> Value | Literal[True]:
    try:
        return await question
    except ChannelClosed as error:
        if error.reply_code != ACCESS_REFUSED:
            raise
        return True


async def verified_topology(
    amqp_url: str, exchanges: Sequence[str], queues: Sequence[str], *, reads: Sequence[str] = ()
) -> None:
    """Check once, as soon as the broker answers, that a service can work.

    Args:
        amqp_url: The service's own.
        exchanges: It publishes to them.
        queues: They must be there.
        reads: It consumes from these queues.

    Raises:
        TopologyError: Something is missing.
        RightMissing: The service may not do what it has to.
    """
    while True:
        try:
            await verify(amqp_url, exchanges, queues)
            await verify_rights(amqp_url, exchanges, reads)
            return
        except ConnectionLost:
            # Services may start before their broker; meanwhile `/readyz` says so, and the publisher's log why.
            await asyncio.sleep(TOPOLOGY_RETRY_SECONDS)
