"""Broker and ledger put together: every queue with what is known of it. Pure."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from dispatcher.ops.queues.bodies import Queue, QueueKind, Queues, QueueStatus
from dispatcher.ops.queues.broker import ApiQueue
from dispatcher.ops.queues.waiting import Waiting
from shared.amqp.channel import QueueDepth
from shared.broker import WORK_DELIVERIES, WORK_EVENTS, retry_queue, topology

KINDS: Final[tuple[QueueKind, ...]] = ("work", "retry", "defer", "dead")
DEAD_DELIVERIES: Final = "dead.deliveries"

LastEmpty = Callable[[str], datetime | None]
"""When a queue was last seen empty; None if it never was."""


def kind_of(name: str) -> QueueKind:
    """Return what a queue is for, by its name."""
    return next((kind for kind in KINDS if name.startswith(f"{kind}.")), "other")


def picture(
    *,
    backoff_seconds: Sequence[float],
    depths: Mapping[str, QueueDepth] | None,
    api: Mapping[str, ApiQueue] | None,
    waiting: Waiting | None,
    last_empty: LastEmpty,
    troubles: Sequence[str],
    now: datetime,
) -> Queues:
    """Return every queue, in the order of the topology; what could not be read (None) is left open.

    Args:
        backoff_seconds: The table of waits.
        depths: By AMQP.
        api: By the management API.
        waiting: By the ledger.
        last_empty: See `LastEmpty`.
        troubles: What could not be read; missing and left-over queues are added.
        now: Aware UTC.
    """
    wanted = {queue.name: queue for queue in topology(backoff_seconds).queues}
    items = []
    for name, queue in wanted.items():
        ttl = queue.arguments.get("x-message-ttl")
        items.append(_queue(name, None if ttl is None else int(ttl) / 1000, depths, api, wanted=True))
    items += [
        _queue(name, None, depths, api, wanted=False)
        for name in sorted(set(api or ()) - set(wanted))
        if kind_of(name) != "other"
    ]
    told = [_with_times(item, waiting, backoff_seconds, last_empty, now) for item in items]
    found = [*troubles, *missing_queues(told), *left_over_queues(told)]
    return Queues(
        items=tuple(told),
        at=now,
        owed=None if waiting is None else waiting.owed,
        overdue=None if waiting is None else waiting.overdue,
        troubles=tuple(found),
    )


def missing_queues(items: Sequence[Queue]) -> list[str]:
    """Return a sentence about the queues that the broker lacks; none if it has all."""
    names = [item.name for item in items if item.standing == "missing"]
    return [f"the broker lacks {', '.join(names)}: run `faxhook topology`"] if names else []


def left_over_queues(items: Sequence[Queue]) -> list[str]:
    """Return a sentence about the queues that BACKOFF does not name any more, or nothing."""
    names = [item.name for item in items if item.standing == "left_over"]
    return [f"left over from another BACKOFF, to be deleted once empty: {', '.join(names)}"] if names else []


def _queue(
    name: str,
    wait_seconds: float | None,
    depths: Mapping[str, QueueDepth] | None,
    api: Mapping[str, ApiQueue] | None,
    *,
    wanted: bool,
) -> Queue:
    depth = None if depths is None else depths.get(name)
    more = None if api is None else api.get(name)
    standing: QueueStatus = "present"
    if not wanted:
        standing = "left_over"
    elif depth is None:
        standing = "unknown" if depths is None else "missing"
    known = Queue(
        name=name,
        kind=kind_of(name),
        standing=standing,
        messages=None if depth is None else depth.messages,
        consumers=None if depth is None else depth.consumers,
        wait_seconds=wait_seconds,
    )
    if more is None:
        return known
    return msgspec.structs.replace(
        known,
        messages=known.messages if wanted else more.messages_ready,
        unacked=more.messages_unacknowledged,
        dead_lettering=more.messages_dlx,
        in_per_second=more.message_stats.publish_details.rate,
        out_per_second=None if known.kind in {"retry", "defer"} else more.message_stats.ack_details.rate,
    )


def _with_times(
    item: Queue, waiting: Waiting | None, backoff_seconds: Sequence[float], last_empty: LastEmpty, now: datetime
) -> Queue:
    if not item.messages:
        return item
    since: list[datetime] = []
    due_at = None
    if waiting is not None:
        due_at = _next_due(item, waiting, backoff_seconds, now)
        ledger_says = {
            WORK_EVENTS: waiting.latest_taken,
            WORK_DELIVERIES: waiting.overdue_since,
            DEAD_DELIVERIES: waiting.oldest_dead,
        }.get(item.name)
        since += [ledger_says] if ledger_says is not None else []
    if due_at is not None and item.wait_seconds is not None:
        since.append(due_at - timedelta(seconds=item.wait_seconds))
    elif (empty_at := last_empty(item.name)) is not None:
        since.append(empty_at)
    oldest = max(0.0, (now - max(since)).total_seconds()) if since else None
    return msgspec.structs.replace(item, oldest_seconds=oldest, next_due_at=due_at)


def _next_due(item: Queue, waiting: Waiting, backoff_seconds: Sequence[float], now: datetime) -> datetime | None:
    """Return when the next message of a delay queue is due.

    The ledger does not say in which queue a delivery waits. Attempts made so far say it for retries, unless a
    Retry-After chose a longer wait; what is held back may be in any defer queue that is long enough.
    """
    if item.kind == "retry":
        due = [
            due_at
            for attempts, due_at in waiting.retries.items()
            if retry_queue(backoff_seconds[min(attempts, len(backoff_seconds)) - 1]) == item.name
        ]
        return min(due, default=None)
    if item.kind == "defer" and waiting.held_back is not None and item.wait_seconds is not None:
        is_long_enough = (waiting.held_back - now).total_seconds() <= item.wait_seconds
        return waiting.held_back if is_long_enough else None
    return None
