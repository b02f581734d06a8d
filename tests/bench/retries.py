"""A hundred thousand retries that come due within one minute, with two dispatchers: how late each is attempted.

The deliveries are written into the ledger as such whose first attempt failed, in turns to endpoints with default settings;
their messages go to the queue of the wait at the pace at which they are to come due. So the way of a retry is the real one
from there: expiry in the broker, claim, attempt, record. Everything may use every core.
"""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from dispatchers import an_event
from rows import Figure, Row
from run import ENOUGH_SECONDS, Run, say
from stack import Stack, resident_bytes, spent, stack
from trees import Tree
from wire import applying

from dispatcher.messages import publish_delivery
from shared.amqp.publisher import Publisher
from shared.backoff import wait_name
from shared.broker import FAX_RETRY, retry_queue
from shared.domain import encode_event
from shared.ids import uuid7

PER_SECOND = 100_000 / 60
ENDPOINTS = 20
ANSWER_SECONDS = 0.020
"""Of each endpoint: with the default of 8 at once two dispatchers could tell it 800 a second; it is owed 83."""

SLACK_SECONDS = 20.0
SLACK_SECONDS_EACH = 1 / 5_000
"""So that the last one is in its queue, its moment in the ledger, and both dispatchers run, before the first one is due."""

MOST_SECONDS = 900.0
"""Until all are attempted; a machine that is too slow for the pace takes longer, and the rows say so."""

PAUSE_SECONDS = 0.02
MOST_AT_ONCE = 500
"""Messages without a confirm; a broker that is slower than the pace makes the minute longer, and the row says so."""

AT_ONCE = 20_000
GOAL_SECONDS = 1.0
CONFIRM_SECONDS = 30.0

FILL = """
WITH numbers AS (SELECT * FROM unnest($1::uuid[]) WITH ORDINALITY AS made (id, n)),
made_events AS (
    INSERT INTO events (id, provider, fax_id, type, received_at, recorded_at, body)
    SELECT 'retry:' || id, 'phaxio', 'retry-' || id, 'fax.delivered', now(), now(), $2 FROM numbers
),
made_faxes AS (
    INSERT INTO faxes (provider, fax_id, direction, state, rank, occurred_at, type_order, event_id, endings,
                       first_received_at, last_received_at)
    SELECT 'phaxio', 'retry-' || id, 'sent', 'fax.delivered', 100, now(), 1, 'retry:' || id, 1, now(), now() FROM numbers
)
INSERT INTO deliveries (id, event_id, endpoint_id, state, attempts, due_at, created_at)
SELECT id, 'retry:' || id, ($3::uuid[])[1 + n % array_length($3::uuid[], 1)], 'retrying', 1, now() + interval '1 day', now() FROM numbers
"""

DUE = """
UPDATE deliveries SET due_at = made.due_at FROM unnest($1::uuid[], $2::timestamptz[]) AS made (id, due_at)
WHERE deliveries.id = made.id
"""

LATE = """
SELECT percentile_cont(ARRAY[0.5, 0.99, 1.0]) WITHIN GROUP (ORDER BY extract(epoch FROM started_at - $1::timestamptz)
       - due_offset) FROM (
    SELECT started_at, offsets.due_offset FROM attempts JOIN unnest($2::uuid[], $3::float8[]) AS offsets (id, due_offset)
    ON offsets.id = attempts.delivery_id WHERE attempts.number = 2
) each
"""


@dataclass(frozen=True)
class Found:
    """What the retries of a tree showed.

    Attributes:
        within_seconds: Between the first and the last that came due.
        late_seconds: After it was due an attempt began: median, p99, most.
        cpu_seconds: For each retry, by process.
        share: Of a core meanwhile, by process.
        load: Average of the machine at the end, its own work included.
        waiting_bytes: Of the broker for each waiting message; 0: the broker is not ours.
    """

    within_seconds: float
    late_seconds: tuple[float, float, float]
    cpu_seconds: dict[str, float]
    share: dict[str, float]
    load: float
    waiting_bytes: float


async def measure(run: Run) -> None:
    """Add how late retries are attempted, what they cost, and what a waiting one takes in the broker; tree by tree."""
    run.stores.pin(None)
    _add_rows(run, {tree.name: await _retries(run, tree) for tree in run.trees})


async def _retries(run: Run, tree: Tree) -> Found:
    anywhere = replace(run.cores, measured=None)
    count = run.sizes.retries
    is_tiny = count < 1_000
    within = 1.0 if is_tiny else count / PER_SECOND
    wait = 3.0 if is_tiny else round(within + SLACK_SECONDS + SLACK_SECONDS_EACH * count)
    backoff = f"{wait_name(wait)}*16"
    async with AsyncExitStack() as opened:
        application = await opened.enter_async_context(applying(ANSWER_SECONDS))
        place = await opened.enter_async_context(stack(tree, run.stores, anywhere, "retries", backoff))
        fields = [{"url": f"{application.url}/{number}", "tokens": ["bench-token"]} for number in range(ENDPOINTS)]
        ids = await _fill(place, await place.add_endpoints(*fields, BACKOFF=backoff), count)
        began = datetime.now(UTC)
        broker = run.stores.pids.get("RabbitMQ")
        before_bytes = resident_bytes(broker) if broker else 0
        offsets = await _publish(place, ids, wait, within, began)
        waiting_bytes = (resident_bytes(broker) - before_bytes) / count if broker else 0.0
        say(f"retries: {count:,} of {tree.name} wait after {max(offsets):.0f} s")
        due_at = [began + timedelta(seconds=offset + wait) for offset in offsets]
        for first in range(0, count, AT_ONCE):
            await place.pool.execute(
                DUE, ids[first : first + AT_ONCE], due_at[first : first + AT_ONCE], timeout=ENOUGH_SECONDS
            )
        first_due = time.monotonic() + min(due_at).timestamp() - time.time()
        dispatchers = [await opened.enter_async_context(place.dispatcher(BACKOFF=backoff)) for _ in range(2)]
        pids = {f"dispatcher {number}": each.pid for number, each in enumerate(dispatchers, 1)} | run.stores.pids
        if not is_tiny and first_due < time.monotonic():
            raise AssertionError(
                "the first retry came due before all of them waited and both dispatchers ran: this machine is too slow for it"
            )
        await asyncio.sleep(max(0.0, first_due - time.monotonic()))  # until the first is due
        used, started = spent(pids), time.perf_counter()
        await application.got(count, MOST_SECONDS)
        elapsed = time.perf_counter() - started
        used = {name: seconds - used[name] for name, seconds in spent(pids).items()}
        load = os.getloadavg()[0]
        await place.recorded()
        late = await place.pool.fetchval(
            LATE, began, ids, [offset + wait for offset in offsets], timeout=ENOUGH_SECONDS
        )
    both = sum(seconds for name, seconds in used.items() if name not in run.stores.pids)
    used = {"both dispatchers": both, **{name: used[name] for name in run.stores.pids}}
    return Found(
        max(offsets) - min(offsets),
        tuple(late),
        {name: seconds / count for name, seconds in used.items()},
        {name: seconds / elapsed for name, seconds in used.items()},
        load,
        waiting_bytes,
    )


def _add_rows(run: Run, found: dict[str, Found]) -> None:
    def add(what: str, unit: str, value: Callable[[Found], float], *, limit: float | None = None) -> None:
        figures = {name: Figure.of([value(each)]) for name, each in found.items()}
        goal = "" if limit is None else f"< {limit:.0f} s"
        run.report.rows.append(Row(what, goal, limit, unit, figures))

    what = f"{run.sizes.retries:,} retries due together, two dispatchers: due → attempted"
    add(f"{what}, p99", "s", lambda each: each.late_seconds[1], limit=GOAL_SECONDS)
    add(f"{what}, median", "s", lambda each: each.late_seconds[0])
    add(f"{what}, most", "s", lambda each: each.late_seconds[2])
    add("· they came due within", "s", lambda each: each.within_seconds)
    for process in next(iter(found.values())).cpu_seconds:
        add(f"· CPU of {process} for each retry", "µs", partial(_cpu_of, process))
        add(f"· share of a core meanwhile, {process}", "%", partial(_share_of, process))
    add("· load average of the machine at the end, its own work included", "", lambda each: each.load)
    if run.stores.pids:
        add("memory of the broker for each waiting message", "B", lambda each: each.waiting_bytes)


def _cpu_of(process: str, found: Found) -> float:
    return found.cpu_seconds[process]


def _share_of(process: str, found: Found) -> float:
    return found.share[process]


async def _fill(place: Stack, endpoint_ids: list[UUID], count: int) -> list[UUID]:
    ids = [uuid7() for _ in range(count)]
    body = encode_event(an_event(1))
    for first in range(0, count, AT_ONCE):
        await place.pool.execute(FILL, ids[first : first + AT_ONCE], body, endpoint_ids, timeout=ENOUGH_SECONDS)
    await place.pool.execute("ANALYZE", timeout=ENOUGH_SECONDS)
    return ids


async def _publish(place: Stack, ids: list[UUID], wait: float, within: float, began: datetime) -> list[float]:
    """Publish a message for each at an even pace; return how long after *began* each was published, in seconds."""
    publisher = Publisher(place.amqp_url, "bench", confirm_timeout_seconds=CONFIRM_SECONDS)
    running = asyncio.create_task(publisher.run())
    key, offsets = retry_queue(wait), [0.0] * len(ids)
    try:
        while not publisher.is_ready:
            await asyncio.sleep(PAUSE_SECONDS)  # what it waits for is in another task of this loop
        started, sent = time.perf_counter(), 0
        while sent < len(ids):
            due = min(len(ids), int((time.perf_counter() - started) / within * len(ids)) + 1, sent + MOST_AT_ONCE)
            offset = datetime.now(UTC).timestamp() - began.timestamp()
            offsets[sent:due] = [offset] * (due - sent)
            batch = ids[sent:due]
            await asyncio.gather(*(publish_delivery(publisher, FAX_RETRY, key, each, 2) for each in batch))
            sent = due
            await asyncio.sleep(PAUSE_SECONDS)  # the pace
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return offsets
