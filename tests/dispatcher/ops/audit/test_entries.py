"""The audit is read by who, what, subject and time, a page at a time, by an index however long it is."""

import asyncpg
import pytest

from dispatcher.ops.api.cursor import BadCursor
from dispatcher.ops.api.moments import BadMoment
from dispatcher.ops.audit.entries import AuditQuery, AuditReader

FILL = """
INSERT INTO audit (at, who, what, subject, details)
SELECT timestamptz '2026-01-01' + number * interval '1 minute', 'person ' || number % 100,
       CASE WHEN number % 1000 = 0 THEN 'endpoint.removed' ELSE 'endpoint.changed' END, 'endpoint ' || number % 5000, '{}'
FROM generate_series(1, 50000) AS number
"""


async def test_filters_and_pages_find_what_is_there_once_and_in_order(pool: asyncpg.Pool) -> None:
    await pool.execute(FILL)
    reader, found, after = AuditReader(pool), [], None
    while True:
        query = AuditQuery(who="person 0", what="endpoint.removed", until="2026-01-31", limit=7, after=after)
        page = await reader.page(query)
        found += page.items
        if (after := page.next) is None:
            break
    assert len(found) == 30 * 1440 // 1000
    assert [each.at for each in found] == sorted((each.at for each in found), reverse=True)
    assert len({each.id for each in found}) == len(found)
    day = await reader.page(AuditQuery(since="2026-01-02", until="2026-01-02T00:02:00Z"))
    assert [each.at.isoformat() for each in day.items] == ["2026-01-02T00:01:00+00:00", "2026-01-02T00:00:00+00:00"]


@pytest.mark.parametrize("column", ["who", "what", "subject"])
async def test_each_filter_is_served_by_an_index(pool: asyncpg.Pool, column: str) -> None:
    await pool.execute(FILL)
    await pool.execute("ANALYZE audit")
    plan = await pool.fetch(f"EXPLAIN SELECT * FROM audit WHERE {column} = 'none' ORDER BY at DESC, id DESC LIMIT 50")  # noqa: S608
    assert "Seq Scan" not in str(plan)
    assert f"audit_of_{column}" in str(plan)


async def test_old_and_new_values_are_told_from_other_details(pool: asyncpg.Pool) -> None:
    details = '{"fields": ["url"], "old": {"url": "a"}, "new": {"url": "b"}}'
    await pool.execute("INSERT INTO audit (who, what, subject, details) VALUES ('a', 'b', 'c', $1)", details)
    (entry,) = (await AuditReader(pool).page(AuditQuery())).items
    assert (entry.old, entry.new, entry.details, entry.origin) == (
        {"url": "a"},
        {"url": "b"},
        {"fields": ["url"]},
        None,
    )


async def test_a_wrong_cursor_or_moment_is_refused(pool: asyncpg.Pool) -> None:
    for query, error in (
        (AuditQuery(after="zzz"), BadCursor),
        (AuditQuery(since="soon"), BadMoment),
        (AuditQuery(until="2026-01-01T00:00:00"), BadMoment),
        (AuditQuery(since="today", until="yesterday"), BadMoment),
    ):
        with pytest.raises(error):
            await AuditReader(pool).page(query)
