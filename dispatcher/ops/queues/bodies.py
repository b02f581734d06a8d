"""The body of `/v1/queues`; `faxhook queues --json` prints the same."""

from datetime import datetime
from typing import Literal

import msgspec

QueueKind = Literal["work", "retry", "defer", "dead", "other"]
QueueStatus = Literal["present", "missing", "left_over", "unknown"]


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """One queue.

    Attributes:
        kind: `work`, `retry` and `defer` (delay queues), `dead`, or `other`.
        standing: `missing`: we want it, the broker has none. `left_over`: BACKOFF does not name it any more; it runs
            dry by itself (seen with RABBITMQ_API_URL only). `unknown`: the broker does not answer.
        messages: Ready ones; None if the queue is missing or the broker is away.
        unacked: Taken and not yet acknowledged; None without RABBITMQ_API_URL.
        dead_lettering: On their way out to another queue, and in no other count; None without RABBITMQ_API_URL.
        wait_seconds: How long a message waits in a delay queue.
        in_per_second: Messages that came lately; None without RABBITMQ_API_URL, as `out_per_second`.
        out_per_second: Messages acknowledged lately; None for a delay queue, whose messages leave by themselves.
        oldest_seconds: How long the oldest message has been waiting, at most; None if unknown.
        next_due_at: Of a delay queue, when its next message is due, by the ledger.
    """

    name: str
    kind: QueueKind
    standing: QueueStatus
    messages: int | None
    unacked: int | None = None
    dead_lettering: int | None = None
    consumers: int | None = None
    wait_seconds: float | None = None
    in_per_second: float | None = None
    out_per_second: float | None = None
    oldest_seconds: float | None = None
    next_due_at: datetime | None = None


class Queues(msgspec.Struct, frozen=True, kw_only=True):
    """Every queue of ours.

    Attributes:
        next: Always null: there is one page.
        at: When it was read.
        owed: Deliveries that are owed by the ledger, wherever they wait; None if it is away.
        overdue: Those of them that are due and that no process holds.
        troubles: What could not be read, is missing or left over, in sentences; empty if nothing is.
    """

    items: tuple[Queue, ...]
    next: str | None = None
    at: datetime
    owed: int | None
    overdue: int | None
    troubles: tuple[str, ...]
