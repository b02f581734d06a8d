"""What lies in the dead-letter queues and nowhere else, as letters; looked at again when it may have changed.

In `dead.deliveries` most messages are copies of what the ledger says: they are not letters of their own, and a list
needs no look as long as there are as many as there are dead deliveries. So a list does not show a stray letter while
exactly as many copies are lost; a preview, a replay and a discard always look, and lists show what they found.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Final, Literal
from uuid import UUID

import msgspec

from dispatcher.ledger.pool import Pool
from dispatcher.ops.dead import store as deliveries
from dispatcher.ops.dead.letters import KINDS, DeadFilter, DeadLetter, Kind
from dispatcher.ops.dead.queues.held_queue import DeadQueues
from dispatcher.ops.dead.queues.reading import QUEUES, Copy, Found, copied_id, fits, read
from dispatcher.ops.dead.store import DeliveryStatus
from shared.amqp.frames import Message
from shared.domain import utc_now

LOOK_SHARE: Final = 10.0
"""A look that took a second is not repeated for ten times as long: looking must not become the work."""

LOOK_AGAIN_SECONDS: Final = 10.0
"""Counts that stand still may hide that one message came and another went."""

Role = Literal["letter", "copy", "stale"]
"""Of a message in `dead.deliveries`: a letter of its own, the copy of one of the ledger, or of nothing any more."""


def role_of(copy: Copy | None, standing: DeliveryStatus | None, attempts: int) -> Role:
    """Return what a message in `dead.deliveries` is, the ledger saying how its delivery stands. Pure.

    *attempts* are those made when it was written.
    """
    if copy is None or standing is None:
        return "letter"
    was_replayed = standing.replayed_at is not None and copy.died_at is not None and copy.died_at < standing.replayed_at
    if standing.state in {"told", "skipped"} or was_replayed:
        return "stale"
    if standing.state == "dead" or copy.is_ours:
        # Ours may lie here a moment before the ledger says dead.
        return "copy"
    return "letter" if standing.attempts <= attempts else "stale"


def shown(found: Found, standing: DeliveryStatus | None) -> DeadLetter:
    """Return a message's letter with what the ledger knows of its delivery."""
    if found.copy is None:
        return found.letter
    if standing is None:
        return msgspec.structs.replace(found.letter, reason=f"{found.letter.reason}; the ledger does not know it")
    return msgspec.structs.replace(
        found.letter,
        event_id=standing.event_id,
        endpoint_id=standing.endpoint_id,
        provider=standing.provider,
        fax_id=standing.fax_id,
        type=standing.type,
    )


async def roles(pool: Pool, messages: Sequence[Found]) -> tuple[Mapping[UUID, DeliveryStatus], list[Role]]:
    """Return how the deliveries of *messages* stand, and each message's role."""
    known = await deliveries.standings(pool, [found.copy.delivery_id for found in messages if found.copy is not None])
    return known, [
        role_of(found.copy, None if found.copy is None else known.get(found.copy.delivery_id), found.letter.attempts)
        for found in messages
    ]


class _Look(msgspec.Struct):
    """A look at one queue: what `fingerprint` it had, when it was (monotonic), how long it took, what it found."""

    fingerprint: int
    at: float
    seconds: float
    letters: dict[str, DeadLetter]


class DeadQueueIndex:
    """Looks into the queues."""

    def __init__(self, pool: Pool, queues: DeadQueues) -> None:
        self._pool = pool
        self._queues = queues
        self._looks: dict[Kind, _Look] = {}
        self._looking: dict[Kind, asyncio.Lock] = {kind: asyncio.Lock() for kind in KINDS}

    def forget(self) -> None:
        """Look again next time, whatever the counts say: something was taken out."""
        self._looks.clear()

    async def letters(self, kind: Kind | None = None, *, fresh: bool = False) -> dict[str, DeadLetter]:
        """Return the letters that only the queues hold, by id; *fresh* ones cost a look.

        Raises:
            TakenByAnother: Somebody else holds a queue that has to be looked at.
        """
        wanted = KINDS if kind is None else (kind,)
        looks = await asyncio.gather(*(self._letters(each, fresh=fresh) for each in wanted))
        return {letter_id: letter for look in looks for letter_id, letter in look.items()}

    async def matching(self, wanted: DeadFilter, *, fresh: bool = False) -> list[DeadLetter]:
        """Return those of the letters that match *wanted*."""
        now = utc_now()
        letters = await self.letters(wanted.kind, fresh=fresh)
        return [letter for letter in letters.values() if fits(letter, wanted, now)]

    async def _letters(self, kind: Kind, *, fresh: bool) -> dict[str, DeadLetter]:
        async with self._looking[kind]:
            ready, fingerprint = await self._fingerprint(kind)
            known = self._looks.get(kind)
            if not ready:
                return {}
            if not fresh and fingerprint == 0:
                return known.letters if known is not None and known.fingerprint == 0 else {}
            if not fresh and known is not None:
                age = time.monotonic() - known.at
                if age < known.seconds * LOOK_SHARE or (known.fingerprint == fingerprint and age < LOOK_AGAIN_SECONDS):
                    return known.letters
            started = time.monotonic()
            letters = await self._look(kind)
            now = time.monotonic()
            self._looks[kind] = _Look(fingerprint, now, now - started, letters)
            return letters

    async def _fingerprint(self, kind: Kind) -> tuple[int, int]:
        """Return how many messages the queue holds, and what changes when its letters do: 0 if all are copies."""
        ready = (await self._queues.depth(QUEUES[kind])).messages
        if kind != "delivery" or not ready:
            return ready, ready
        return ready, ready - await deliveries.count_dead(self._pool)

    async def _look(self, kind: Kind) -> dict[str, DeadLetter]:
        async with self._queues.hold(kind) as held:
            messages = [message async for message in held.messages()]
        if kind == "delivery":
            return await self._of_deliveries(messages)
        return {found.letter.id: found.letter for found in (read(kind, message) for message in messages)}

    async def _of_deliveries(self, messages: Sequence[Message]) -> dict[str, DeadLetter]:
        """Return the letters among them; copies of what the ledger knows are none, and sorted out by their ids."""
        ids = [copied_id(message) for message in messages]
        unknown = await deliveries.unknown(self._pool, [each for each in ids if each is not None])
        doubtful = [
            read("delivery", message)
            for message, each in zip(messages, ids, strict=True)
            if each is None or each in unknown
        ]
        known, roles_of_messages = await roles(self._pool, doubtful)
        return {
            found.letter.id: shown(found, None if found.copy is None else known.get(found.copy.delivery_id))
            for found, role in zip(doubtful, roles_of_messages, strict=True)
            if role == "letter"
        }
