"""A ledger and queues as after a morning's work, for pictures: one application is down, another has moved."""

import asyncio
import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from dead_letters import quarantine_callback
from dispatchers import DispatcherHarness, an_event

from dispatcher.messages import DeadDelivery, DeliveryMessage
from dispatcher.ops.queues.history import QueueHistory, Sample
from dispatcher.policy.endpoint import Endpoint
from shared.backoff import DEFAULT_BACKOFF, parse_backoff
from shared.broker import DEAD_DELIVERY, FAX_DEAD, FAX_RETRY, retry_queue
from shared.domain import EventType, utc_now

BUSY = b"<html>\n<head><title>503 Service Unavailable</title></head>\n<body>Down for maintenance: the billing database is being moved.</body>\n</html>"
WAITS = parse_backoff(DEFAULT_BACKOFF)

RETRYING = 26
MOVED = 14
EXPIRED = 4
UNREADABLE = 2
FAX = "849173023"


async def seed_ledger(harness: DispatcherHarness, media: Path) -> str:
    """Fill the stores; return the id of a fax that one application has not got yet."""
    now = utc_now()
    billing = await harness.endpoint(
        url="https://erp:geheim@billing.example.com/hooks/fax",
        direction="sent",
        failover_url="https://billing-b.example.com/hooks/fax",
    )
    archive = await harness.endpoint(
        url="https://archive.example.org/fax-events",
        direction="sent",
        format="standard-v1",
        tokens=("whsec_b2xkIHRva2Vu",),
    )
    orders = await harness.endpoint(
        url="https://orders.example.net/fax", scope="number", match="+15550104477", direction="received"
    )
    clinic = await harness.endpoint(
        url="https://clinic.example/fax/in", scope="number", match="+15550107700", direction="received"
    )
    await harness.endpoint(url="mailto:frontdesk@clinic.example", direction="received", tokens=())

    down_since = now - timedelta(minutes=24)
    for number in range(RETRYING + 30):
        fax_id = FAX if number == RETRYING - 4 else str(849170000 + 137 * number)
        is_down = number < RETRYING
        at = down_since + timedelta(seconds=45 * number + 20) if is_down else now - timedelta(minutes=90 - number)
        sent = {
            "fax_id": fax_id,
            "from_number": "+15550100200",
            "to_number": f"+4930901{820 + number}",
            "job_id": f"invoice-{4400 + number}",
        }
        ending = EventType.FAILED if number % 9 == 4 else EventType.DELIVERED
        await harness.take(
            an_event(
                number,
                EventType.SENDING,
                received_at=at - timedelta(seconds=62),
                occurred_at=at - timedelta(seconds=62),
                **sent,
            ),
            an_event(
                number,
                ending,
                received_at=at,
                occurred_at=at - timedelta(milliseconds=300),
                pages=1 + number % 4,
                **sent,
            ),
        )
        event_id = f"phaxio:{number}-{ending}"
        await _tell(harness, event_id, archive, at)
        if is_down:
            await _fail(harness, event_id, billing, at, "http_503", now)
        else:
            await _tell(harness, event_id, billing, at)
    for number in range(MOVED + EXPIRED):
        endpoint, cause = (orders, "host_not_found") if number < MOVED else (clinic, "tls")
        at = now - timedelta(days=3, hours=9) + timedelta(minutes=11 * number)
        event = an_event(
            900 + number, EventType.RECEIVED, received_at=at, fax_id=str(848000000 + 731 * number),
            from_number=f"+1555013{4400 + number}", to_number=endpoint.match, pages=2,
        )  # fmt: skip
        await harness.take(event)
        await _bury(harness, event.id, endpoint, at, cause)
    await harness.pool.execute("UPDATE events SET recorded_at = received_at + interval '9 milliseconds'")
    await asyncio.gather(*(quarantine_callback(harness, media, b'{"data": {}}') for _ in range(UNREADABLE)))
    return FAX


async def _tell(harness: DispatcherHarness, event_id: str, endpoint: Endpoint, at: datetime) -> None:
    delivery_id = await _settle(harness, event_id, endpoint, "told", None, at, 1, at + timedelta(milliseconds=61))
    await _attempt(harness, delivery_id, 1, at + timedelta(milliseconds=18), 0.043, endpoint, http_status=200)


async def _fail(
    harness: DispatcherHarness, event_id: str, endpoint: Endpoint, at: datetime, error: str, now: datetime
) -> None:
    """Attempt again and again by the table until *now*; the next attempt waits in the broker."""
    number, due_at = 0, at + timedelta(milliseconds=18)
    delivery_id = await _settle(harness, event_id, endpoint, "retrying", None, at, 0, None)
    while due_at < now:
        number += 1
        await _attempt(harness, delivery_id, number, due_at, 0.31, endpoint, error=error, http_status=503, answer=BUSY)
        wait = WAITS[number - 1]
        due_at += timedelta(seconds=wait)
    await harness.pool.execute(
        "UPDATE deliveries SET attempts = $2, due_at = $3 WHERE id = $1", delivery_id, number, due_at
    )
    message = msgspec.json.encode(DeliveryMessage(delivery_id, number + 1))
    # In the longest queue, whatever its wait: nothing must move while the pictures are taken.
    await harness.publisher.publish(FAX_RETRY, retry_queue(WAITS[-1]), message, {})


async def _bury(harness: DispatcherHarness, event_id: str, endpoint: Endpoint, at: datetime, cause: str) -> None:
    number, due_at = 0, at + timedelta(milliseconds=18)
    delivery_id = await _settle(harness, event_id, endpoint, "dead", cause, at, 0, None)
    for wait in (*WAITS, 0.0):
        number += 1
        await _attempt(harness, delivery_id, number, due_at, 0.012, endpoint, error=cause)
        died_at, due_at = due_at, due_at + timedelta(seconds=wait)
    await harness.pool.execute(
        "UPDATE deliveries SET attempts = $2, settled_at = $3 WHERE id = $1", delivery_id, number, died_at
    )
    dead = DeadDelivery(
        delivery_id=delivery_id, attempt=number, event_id=event_id, endpoint_id=endpoint.id, cause=cause,
        reason="the last of 17 attempts failed", died_at=died_at,
    )  # fmt: skip
    await harness.publisher.publish(FAX_DEAD, DEAD_DELIVERY, msgspec.json.encode(dead), {"cause": cause})


async def _settle(
    harness: DispatcherHarness,
    event_id: str,
    endpoint: Endpoint,
    state: str,
    reason: str | None,
    at: datetime,
    attempts: int,
    settled_at: datetime | None,
) -> UUID:
    delivery_id: UUID = await harness.pool.fetchval(
        "UPDATE deliveries SET state = $3, reason = $4, attempts = $6, settled_at = $7, lease_until = NULL, created_at = $5 "
        "WHERE event_id = $1 AND endpoint_id = $2 RETURNING id",
        event_id, endpoint.id, state, reason, at, attempts, settled_at,
    )  # fmt: skip
    return delivery_id


async def _attempt(
    harness: DispatcherHarness,
    delivery_id: UUID,
    number: int,
    at: datetime,
    seconds: float,
    endpoint: Endpoint,
    **fields: Any,
) -> None:
    outcome = "not_told" if "error" in fields else "told"
    await harness.pool.execute(
        "INSERT INTO attempts (delivery_id, number, started_at, seconds, outcome, url, http_status, error, answer) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        delivery_id, number, at, seconds, outcome, endpoint.url.replace("erp:geheim@", ""), fields.get("http_status"),
        fields.get("error"), fields.get("answer", b""),
    )  # fmt: skip


class HistoryOfAnHour(QueueHistory):
    """The samples of a dispatcher that has been running for an hour."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        now = utc_now()
        self._samples.extend(Sample(now - timedelta(seconds=3_600 - 10 * step), _depths(step)) for step in range(360))


def _depths(step: int) -> dict[str, int]:
    minutes = step / 6
    noise = math.sin(step * 12.9898) * 43758.5453 % 1
    waiting = min(RETRYING, max(0.0, (minutes - 36) * RETRYING / 20))
    dead = UNREADABLE + EXPIRED * (minutes > 21) + sum(minutes > 26 + 2 * each for each in range(MOVED))
    return {
        "work.events": round(3 * noise + (22 * noise + 18 if 47 < minutes < 50 else 0)) if step < 358 else 0,
        "work.deliveries": round(max(0.0, 12 * noise - 9) + (9 if 41 < minutes < 44 else 0)) if step < 358 else 0,
        "retry.6h": round(waiting),
        "defer.15s": 0,
        "dead.deliveries": dead,
    }


__all__: Sequence[str] = ["FAX", "HistoryOfAnHour", "seed_ledger"]
