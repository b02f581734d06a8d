"""The letters that are in the dead-letter queues only; the queues are browsed again when that may have changed.

In `dead.deliveries` most messages are copies of rows of the ledger, not letters of their own: a list does not browse
the queue as long as it holds as many messages as there are dead deliveries. So a list does not show a stray letter
while exactly as many copies are lost; a preview, a replay and a discard always browse, and lists show what they found.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from dispatcher.ledger.pool import Pool
from dispatcher.ops.dead import store as ledger
from dispatcher.ops.dead.letters import KINDS, DeadFilter, DeadLetter, Kind
from dispatcher.ops.dead.queues.held_queue import DeadQueues
from dispatcher.ops.dead.queues.reading import QUEUES, Copy, Found, copied_id, fits, read
from dispatcher.ops.dead.store import DeliveryStatus
from shared.amqp.frames import Message
from shared.domain import utc_now

LOOK_SHARE: Final = 10.0
"""A look that took a second is not repeated for ten seconds, so that browsing does not become the main load."""

QUICK_SECONDS: Final = 0.1
"""A look that took less is repeated as soon as the counts say that something came or went."""

FEW_MESSAGES: Final = 100
"""A look at so few is, too, however long it took: on a slow machine it costs little all the same."""

LOOK_AGAIN_SECONDS: Final = 10.0
"""A count that stays the same may hide that one message came and another went."""

Role = Literal["letter", "copy", "stale"]
"""Of a message in `dead.deliveries`: a letter of its own, the copy of a dead delivery, or a copy out of date."""


def role_of(copy: Copy | None, status: DeliveryStatus | None, attempts: int) -> Role:
    """Return what a message in `dead.deliveries` is, by the *status* of its delivery. Pure.

    *attempts* are those made when it was written.
    """
    if copy is None or status is None:
        return "letter"
    was_replayed = status.replayed_at is not None and copy.died_at is not None and copy.died_at < status.replayed_at
    if status.state in {"told", "skipped"} or was_replayed:
        return "stale"
    if status.state == "dead" or copy.is_ours:
        # Ours may be here a moment before the ledger says dead.
        return "copy"
    return "letter" if status.attempts <= attempts else "stale"


def completed(found: Found, status: DeliveryStatus | None) -> DeadLetter:
    """Return a message's letter, completed with what the ledger knows of its delivery."""
    if found.copy is None:
        return found.letter
    if status is None:
        return msgspec.structs.replace(found.letter, reason=f"{found.letter.reason}; the ledger does not know it")
    return msgspec.structs.replace(
        found.letter,
        event_id=status.event_id,
        endpoint_id=status.endpoint_id,
        provider=status.provider,
        fax_id=status.fax_id,
        type=status.type,
        from_number=status.from_number,
        to_number=status.to_number,
        job_id=status.job_id,
    )


class _Look(msgspec.Struct):
    """A look into one queue: its `fingerprint` then, when it was (monotonic), how long it took, the letters found."""

    fingerprint: int
    at: float
    seconds: float
    letters: dict[str, DeadLetter]


class DeadQueueIndex:
    """Browses the queues, and remembers what it found."""

    def __init__(self, pool: Pool, queues: DeadQueues) -> None:
        self._pool = pool
        self._queues = queues
        self._looks: dict[Kind, _Look] = {}
        self._looking: dict[Kind, asyncio.Lock] = {kind: asyncio.Lock() for kind in KINDS}

    def forget(self) -> None:
        """Browse again next time, whatever the counts say: something was removed."""
        self._looks.clear()

    async def letters(self, kind: Kind | None = None, *, fresh: bool = False) -> dict[str, DeadLetter]:
        """Return the letters that only the queues hold, by id; *fresh* ones are always browsed.

        Raises:
            TakenByAnother: Another process holds a queue that has to be browsed.
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
        asked_at = time.monotonic()
        async with self._looking[kind]:
            known = self._looks.get(kind)
            if known is not None and known.at - known.seconds > asked_at:
                return known.letters  # browsed while this one waited: fresh, too
            ready, fingerprint = await self._fingerprint(kind)
            if not ready:
                return {}
            if not fresh and fingerprint == 0:
                return known.letters if known is not None and known.fingerprint == 0 else {}
            if not fresh and known is not None:
                age, is_same = time.monotonic() - known.at, known.fingerprint == fingerprint
                is_cheap = known.seconds < QUICK_SECONDS or ready <= FEW_MESSAGES
                share = 0.0 if is_cheap and not is_same else known.seconds * LOOK_SHARE
                if age < share or (is_same and age < LOOK_AGAIN_SECONDS):
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
        return ready, ready - await ledger.count_dead(self._pool)

    async def _look(self, kind: Kind) -> dict[str, DeadLetter]:
        async with self._queues.hold(kind) as held:
            messages = [message async for message in held.messages()]
        if kind == "delivery":
            return await self._of_deliveries(messages)
        return {found.letter.id: found.letter for found in (read(kind, message) for message in messages)}

    async def _of_deliveries(self, messages: Sequence[Message]) -> dict[str, DeadLetter]:
        """Return the letters among them; our copies of deliveries that the ledger knows are recognized by their ids."""
        ids = [copied_id(message) for message in messages]
        unknown = await ledger.unknown(self._pool, [each for each in ids if each is not None])
        doubtful = [
            read("delivery", message)
            for message, each in zip(messages, ids, strict=True)
            if each is None or each in unknown
        ]
        statuses = await ledger.statuses(self._pool, [each.copy.delivery_id for each in doubtful if each.copy])
        letters: dict[str, DeadLetter] = {}
        for found in doubtful:
            status = None if found.copy is None else statuses.get(found.copy.delivery_id)
            if role_of(found.copy, status, found.letter.attempts) == "letter":
                letters[found.letter.id] = completed(found, status)
        return letters
