"""The body of `/v1/queues`; `faxhook queues --json` prints the same."""

from datetime import datetime
from typing import Literal

import msgspec

QueueKind = Literal["work", "retry", "defer", "dead", "other"]
Standing = Literal["present", "missing", "left_over"]


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """One queue.

    Attributes:
        kind: `work`, `retry` and `defer` (delay queues), `dead`, or `other`.
        standing: `missing`: BACKOFF wants it, the broker has none. `left_over`: no longer wanted by BACKOFF.
        messages: Ready ones; None if the queue is missing or the broker is away.
        unacked: Taken and not yet acknowledged; None without RABBITMQ_API_URL.
        wait_seconds: How long a message waits in a delay queue.
        in_per_second: Messages that came lately; None without RABBITMQ_API_URL, as `out_per_second`.
        oldest_seconds: How long the oldest message has been waiting, as far as the ledger can tell; None if it cannot.
        next_due_at: Of a delay queue, when its next message is due, by the ledger.
    """

    name: str
    kind: QueueKind
    standing: Standing
    messages: int | None
    unacked: int | None
    consumers: int | None
    wait_seconds: float | None
    in_per_second: float | None
    out_per_second: float | None
    oldest_seconds: float | None
    next_due_at: datetime | None


class Queues(msgspec.Struct, frozen=True, kw_only=True):
    """Every queue of ours.

    Attributes:
        next: Always null: there is one page.
        at: When it was read.
        owed: Deliveries that are owed by the ledger, wherever they wait.
        overdue: Those of them that are due and that no process holds.
        troubles: In sentences, what could not be read, is missing or left over; empty if all is well.
    """

    items: tuple[Queue, ...]
    next: str | None
    at: datetime
    owed: int | None
    overdue: int | None
    troubles: tuple[str, ...]
