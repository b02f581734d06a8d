"""Prunes what is old: payloads, attempts, documents. In small steps, one dispatcher at a time, blocking no other work.

| | kept |
|---|---|
| payloads of events, attempts with the answers | `RETENTION_DAYS` after the last of the event was settled |
| rows of events, deliveries, faxes | for ever, without their payload. A provider may repeat an event at any time, and a dead letter be replayed after years: whatever their age, the id must say that it is known, and the pair of event and endpoint that it was told. Some hundred bytes each |
| what is owed or dead, with all that belongs to it | until it is told, or a person decides |
| jobs of replays and discards, with their items | `RETENTION_DAYS` after they were finished |
| answers to commands, with the tokens in them, encrypted | 25 hours |
| audit | for ever |
| documents | until no payload names them, see below |

**Documents** are stored by their content, so several events may name the same one. Messages that are not in the ledger
may name it too: quarantined callbacks, dead events, events that were not yet taken in. A document is deleted only if all
of this holds, and is kept otherwise:

* a payload that named it was pruned. What no event of the ledger named is never touched: bodies of quarantined callbacks;
* it was not stored again since the limit. The ingress stores every document that comes, even one that is there, so every
  event that names it was received before the limit, and every payload received before the limit was looked at in the
  same pass;
* no payload that stays names it;
* `work.events`, `dead.events` and `dead.callbacks` are empty, before the pass and after it.

One gap remains: a fax whose document is byte for byte one of weeks ago and arrives within the milliseconds between the
look and the deletion. A lock across processes that share no database could close it; the ingress has no database.
"""  # noqa: E501 - a table

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import msgspec

from dispatcher.ledger import pruning
from dispatcher.ledger.locks import Lock, leader
from dispatcher.ledger.pool import LEDGER_UNAVAILABLE, Pool
from shared.amqp.errors import ConnectionLost
from shared.amqp.session import broker_session
from shared.broker import WORK_EVENTS
from shared.log import get_logger
from shared.media import MediaUnavailable

LOOK_EVERY_SECONDS: Final = 60.0
PRUNE_EVERY_SECONDS: Final = 3600.0

EVENTS_PER_STEP: Final = 200
ATTEMPTS_PER_STEP: Final = 1_000
DOCUMENTS_PER_STEP: Final = 100
ITEMS_PER_STEP: Final = 1_000
PAUSE_SECONDS: Final = 0.05
"""Between two steps at least; at most half of the time is spent in them."""

SKEW: Final = timedelta(days=1)
"""The clocks of ingress, ledger and media store may differ by this."""

COMMANDS_SECONDS: Final = 25 * 3600.0
"""An hour longer than a command is remembered, so that no request under way misses its row."""

FORGET_COMMANDS: Final = "DELETE FROM commands WHERE seen_at < now() - make_interval(secs => $1)"
DOCUMENTS: Final = "SELECT key FROM documents_to_prune WHERE key > $1 ORDER BY key LIMIT $2"
DOCUMENT_PRUNED: Final = "DELETE FROM documents_to_prune WHERE key = $1"


class DocumentStore(Protocol):
    """What retention needs of a media store."""

    async def stored_at(self, key: str) -> datetime | None:
        """Return when a document was stored last; None if it is not there."""

    async def delete(self, key: str) -> None:
        """Delete a document; one that is not there is deleted."""


class Pruned(msgspec.Struct, kw_only=True):
    """What a pass did."""

    events: int = 0
    attempts: int = 0
    documents: int = 0
    steps: int = 0


class Retention:
    """Prunes every hour, one dispatcher at a time; *nothing_waits* tells if the queues of unknown events are empty."""

    def __init__(
        self,
        pool: Pool,
        store: DocumentStore,
        nothing_waits: Callable[[], Awaitable[bool]],
        retention_days: int,
        *,
        look_every_seconds: float = LOOK_EVERY_SECONDS,
    ) -> None:
        self._pool = pool
        self._store = store
        self._nothing_waits = nothing_waits
        self._kept = timedelta(days=retention_days)
        self._look_every_seconds = look_every_seconds
        self._log = get_logger()

    async def run(self, schema_verified: Callable[[], Awaitable[None]]) -> None:
        """Prune for ever, once the schema is verified; stores that are away are tried again."""
        await schema_verified()
        next_pass = time.monotonic()
        while True:
            await asyncio.sleep(self._look_every_seconds)
            try:
                await self._pool.execute(FORGET_COMMANDS, COMMANDS_SECONDS)
                if time.monotonic() >= next_pass:
                    await self.prune()
                    next_pass = time.monotonic() + PRUNE_EVERY_SECONDS
            except (*LEDGER_UNAVAILABLE, MediaUnavailable) as error:
                self._log.warning("retention.failed", reason=type(error).__name__)

    async def prune(self) -> Pruned:
        """Go through all that is old, once; do nothing if another dispatcher does."""
        pruned = Pruned()
        async with leader(self._pool, Lock.PRUNE) as connection:
            if connection is None:
                return pruned
            # 1. A message that waits may name a document of which the ledger knows nothing: asked before all else.
            nothing_waited = await self._nothing_waits()
            before = await connection.fetchval("SELECT now() - $1::interval", self._kept)
            # 2. Rows first: which documents are still named is known only when every old payload was looked at.
            await _prune_jobs(connection, before)
            needed = await self._prune_events(connection, before, pruned)
            # 3. Documents last, if no message came or waited meanwhile.
            if nothing_waited and await self._nothing_waits():
                await self._prune_documents(connection, before - SKEW, needed, pruned)
        if pruned.events or pruned.documents:
            self._log.info("retention.done", events=pruned.events, attempts=pruned.attempts, documents=pruned.documents)
        return pruned

    async def _prune_events(self, connection: Any, before: datetime, pruned: Pruned) -> set[str]:
        """Prune what was over before *before*; return the documents that the payloads that stay name."""
        needed: set[str] = set()
        after = (datetime(1, 1, 1, tzinfo=UTC), "")
        while old := await pruning.old_events(connection, before, after, EVENTS_PER_STEP):
            started = time.monotonic()
            # An event may have any number of attempts: a step is bounded by them, not by events alone.
            some = pruning.few(old, ATTEMPTS_PER_STEP)
            step = await pruning.prune(connection, [each.event_id for each in some if each.is_over], before)
            needed |= await pruning.documents_of(connection, {each.event_id for each in some} - step.event_ids)
            after = (some[-1].received_at, some[-1].event_id)
            pruned.events += len(step.event_ids)
            pruned.attempts += step.attempts
            pruned.steps += 1
            await _pause(started)
        return needed

    async def _prune_documents(self, connection: Any, before: datetime, needed: set[str], pruned: Pruned) -> None:
        """Delete the documents that no payload names and that were not stored since *before*. A crash leaves a row."""
        after = ""
        while rows := await connection.fetch(DOCUMENTS, after, DOCUMENTS_PER_STEP):
            started = time.monotonic()
            after = rows[-1]["key"]
            for key in (row["key"] for row in rows if row["key"] not in needed):
                stored_at = await self._store.stored_at(key)
                if stored_at is not None and stored_at >= before:
                    continue
                await self._store.delete(key)
                await connection.execute(DOCUMENT_PRUNED, key)
                pruned.documents += 1
            await _pause(started)


async def _prune_jobs(connection: Any, before: datetime) -> None:
    started = time.monotonic()
    while await pruning.prune_jobs(connection, before, ITEMS_PER_STEP):
        await _pause(started)
        started = time.monotonic()


async def _pause(started: float) -> None:
    await asyncio.sleep(max(PAUSE_SECONDS, time.monotonic() - started))


UNKNOWN_EVENTS: Final = (WORK_EVENTS, "dead.events", "dead.callbacks")
BROKER_SECONDS: Final = 10.0


async def nothing_waits(amqp_url: str) -> bool:
    """Is there no message anywhere that could name a document, and of which the ledger knows nothing?

    The answer is no if the broker is away or lacks a queue. A process that browses a queue holds its messages unacked,
    where this does not see them; that is why it is asked twice.
    """
    try:
        async with broker_session(amqp_url, "faxhook retention", connect_seconds=BROKER_SECONDS) as broker:
            for queue in UNKNOWN_EVENTS:
                depth = await broker.depth(queue)
                if depth is None or depth.messages:
                    return False
            return True
    except ConnectionLost:
        return False
