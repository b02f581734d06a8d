"""However large the ledger, a list reads the rows that it shows, or a bounded number of the newest; never a table."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
from large_ledgers import add_faxes

from dispatcher.ops.deliveries.attempts import AttemptReader
from dispatcher.ops.faxes.lists import few, found, walk
from dispatcher.ops.faxes.lists.queries import AttemptQuery, DeliveryQuery, EventQuery, FaxQuery
from dispatcher.ops.faxes.reader import FaxReader
from shared.domain import EventType
from shared.ids import uuid7

FAXES = 8_000
"""Four of each number."""

ENDPOINTS = [uuid7() for _ in range(10)]
NONE = UUID(int=3)
LARGE = {"faxes", "events", "deliveries", "attempts"}


class RecordingPool:
    """A pool that keeps what was asked."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool
        self.asked: list[tuple[str, tuple[Any, ...]]] = []

    async def fetch(self, statement: str, *values: Any) -> Any:
        self.asked.append((statement, values))
        return await self.pool.fetch(statement, *values)

    async def scans(self) -> list[dict[str, Any]]:
        """Run again what was asked, and return each reading of a table."""
        scans: list[dict[str, Any]] = []
        for statement, values in self.asked:
            plan = await self.pool.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *values)
            scans += [node for node in nodes(msgspec.json.decode(plan)[0]["Plan"]) if "Relation Name" in node]
        return scans


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from nodes(each)


def rows_read(scan: dict[str, Any]) -> float:
    each: float = scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0)
    return each * scan["Actual Loops"]


async def test_no_list_reads_a_large_table_whatever_it_is_asked(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_faxes(pool, FAXES, ENDPOINTS)
    monkeypatch.setattr(few, "MOST_READ", FAXES - 1)  # this ledger stands for a large one
    monkeypatch.setattr(few, "MOST_FEW", 200)
    monkeypatch.setattr(walk, "WALKED_AT_MOST", 200)
    monkeypatch.setattr(walk, "LOOKED_INTO_AT_MOST", 100)
    never: dict[str, Any] = {"type": EventType.RECEIVED}
    of_faxes: list[dict[str, Any]] = [
        {"number": "0001"},
        {"number": "+15550100001"},
        {"number": "001"},
        {"job_id": "job-17"},
        {"number": "0001", "job_id": "job-1"},
    ]
    wanted_of_all = [*of_faxes, never, never | {"number": "001"}]
    asked: list[tuple[Any, dict[str, Any]]] = [
        *((query, wanted) for query in (AttemptQuery, DeliveryQuery, EventQuery) for wanted in wanted_of_all),
        *(
            (query, {"endpoint_id": id_})
            for query in (AttemptQuery, DeliveryQuery, EventQuery)
            for id_ in (ENDPOINTS[3], NONE)
        ),
        *((AttemptQuery, each | {"outcome": "not_told"}) for each in wanted_of_all),
        *((query, each | {"endpoint_id": NONE}) for query in (AttemptQuery, EventQuery) for each in wanted_of_all),
        *((EventQuery, each | {"provider": "phaxio"}) for each in wanted_of_all),
        (EventQuery, {"provider": "telnyx"}),
        (AttemptQuery, {"fax_id": "17"}),
        (AttemptQuery, {"event_id": "phaxio:17"}),
        (AttemptQuery, {"provider": "telnyx"}),
        (DeliveryQuery, {"state": "dead", "number": "0001"}),
        *((FaxQuery, {"number": number, "failed": True}) for number in ("0001", "001")),
        *((FaxQuery, {"endpoint_id": id_}) for id_ in (ENDPOINTS[3], NONE)),
        *((FaxQuery, {"failure": "none", "failed": failed}) for failed in (None, True)),
        (FaxQuery, {"webhooks": "failing", "number": "0001"}),
    ]
    for query, wanted in asked:
        await check_reading(pool, query, wanted)
    monkeypatch.setattr(found, "MOST_FAXES", 0)  # the numbers and jobs have too many to be looked up
    for query in (AttemptQuery, DeliveryQuery, EventQuery):
        for wanted in of_faxes:
            await check_reading(pool, query, wanted)


async def check_reading(pool: asyncpg.Pool, query: Any, wanted: dict[str, Any]) -> None:
    recording: Any = RecordingPool(pool)
    faxes = FaxReader(recording)
    read: Any = {
        AttemptQuery: AttemptReader(recording).page,
        DeliveryQuery: faxes.deliveries,
        EventQuery: faxes.events,
        FaxQuery: faxes.faxes,
    }[query]
    await read(query(**wanted, limit=10))
    scans = await recording.scans()
    assert not {scan["Relation Name"] for scan in scans if scan["Node Type"] == "Seq Scan"} & LARGE, (query, wanted)
    largest = max(scans, key=rows_read)
    assert rows_read(largest) <= 450, (query, wanted, largest)
