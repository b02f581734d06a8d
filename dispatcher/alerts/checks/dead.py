"""Dead letters of a cause that was not there before: deliveries by the ledger, callbacks and events by their queues."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from dispatcher.alerts.kinds import Kind
from dispatcher.alerts.matters import open_subjects, raise_matter, resolve_matter
from dispatcher.policy.verdict import GONE
from shared.amqp.session import broker_session

MOST_LOOKED_AT: Final = 20_000
"""The newest dead deliveries; causes of older ones were told when they were new."""

CAUSES: Final = """
SELECT reason, count(*) AS count, count(DISTINCT endpoint_id) AS endpoints FROM (
    SELECT reason, endpoint_id FROM deliveries WHERE state = 'dead' ORDER BY settled_at DESC, id DESC LIMIT $1
) AS newest
WHERE reason IS NOT NULL GROUP BY reason
"""
QUEUES: Final = {"callback": "dead.callbacks", "event": "dead.events"}
BROKER_SECONDS: Final = 10.0

EMPTY_LOOKS: Final = 3
"""So often a queue must be seen empty before its matter is over: a process that browses it holds its messages."""

Depths = Callable[[], Awaitable[Mapping[str, int]]]


class DeadLetterCheck:
    """Raises `dead_letters`: one matter for each cause of deliveries, one for callbacks, one for events."""

    every_seconds = 60.0

    def __init__(self, depths: Depths) -> None:
        self._depths = depths
        self._empty = dict.fromkeys(QUEUES, 0)

    async def look(self, connection: Any) -> None:
        """Look at the ledger, then at the queues; a broker that is away leaves its matters as they are."""
        opened = await open_subjects(connection, Kind.DEAD_LETTERS)
        found = {f"delivery {row['reason']}": row for row in await connection.fetch(CAUSES, MOST_LOOKED_AT)}
        found.pop(f"delivery {GONE}", None)  # `endpoint_gone` says so
        for subject, row in found.items():
            what = sentence_of(row["reason"], row["count"], row["endpoints"])
            await raise_matter(connection, Kind.DEAD_LETTERS, subject, what, count=row["count"])
        for subject in opened - set(found) - set(QUEUES):
            await resolve_matter(connection, Kind.DEAD_LETTERS, subject)
        for subject, messages in (await self._depths()).items():
            if messages:
                self._empty[subject] = 0
                what = f"{messages} {subject}{'s' if messages > 1 else ''} could not be read; kept in {QUEUES[subject]}"
                await raise_matter(connection, Kind.DEAD_LETTERS, subject, what, count=messages)
                continue
            self._empty[subject] += 1
            if self._empty[subject] >= EMPTY_LOOKS:
                await resolve_matter(connection, Kind.DEAD_LETTERS, subject)


def sentence_of(cause: str, deliveries: int, endpoints: int) -> str:
    """Return what is dead.

    >>> sentence_of("http_500", 3, 1), sentence_of("stuck", 1, 1)
    ('3 deliveries to 1 endpoint are dead: http_500', '1 delivery to 1 endpoint is dead: stuck')
    """
    many = "1 delivery" if deliveries == 1 else f"{deliveries:,} deliveries"
    to = "1 endpoint" if endpoints == 1 else f"{endpoints:,} endpoints"
    return f"{many} to {to} {'is' if deliveries == 1 else 'are'} dead: {cause}"


async def queue_depths(amqp_url: str) -> dict[str, int]:
    """Return the messages of the dead queues that the ledger does not know, by subject; without those that are missing.

    Raises:
        ConnectionLost: The broker is away.
    """
    async with broker_session(amqp_url, "faxhook alerts", connect_seconds=BROKER_SECONDS) as broker:
        found = {}
        for subject, queue in QUEUES.items():
            if (depth := await broker.depth(queue)) is not None:
                found[subject] = depth.messages
        return found
