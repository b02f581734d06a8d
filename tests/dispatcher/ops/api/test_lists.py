"""A cursor belongs to its list: that of another one is refused, instead of beginning somewhere."""

from itertools import permutations

from apis import Api
from dead_letters import add_dead_deliveries
from dispatchers import DispatcherHarness

LISTS = (
    "faxes",
    "faxes?webhooks=failing",  # the same in another order
    "events",
    "deliveries",
    "dead-letters",
    "attempts",
    "audit",
    "endpoints",
    "tokens",
    "alerts",
    "accounts",
)

FILL = """
WITH tried AS (
    INSERT INTO attempts (delivery_id, number, started_at, seconds, outcome, url, answer)
    SELECT id, 1, now(), 0.1, 'told', 'http://127.0.0.1/', '' FROM deliveries ON CONFLICT DO NOTHING
), raised AS (
    INSERT INTO alerts (id, kind, subject, what, count, opening)
    SELECT gen_random_uuid(), 'test', n::text, 'a test', 1, gen_random_uuid() FROM generate_series(1, 2) n
)
INSERT INTO accounts (day, provider, drawn_up_at) SELECT current_date - n, 'phaxio', now() FROM generate_series(1, 2) n
"""


async def test_the_cursor_of_another_list_is_refused(api: Api, harness: DispatcherHarness) -> None:
    endpoints = [await harness.endpoint(), await harness.endpoint(description="another")]
    await add_dead_deliveries(harness, endpoints, 2)
    await harness.pool.execute(FILL)
    for name in ("one", "another"):
        assert (await api.ask("POST", "/v1/tokens", {"name": name, "rights": ["read"]}))[0] == 201
    cursors = {}
    for name in LISTS:
        status, page = await api.ask("GET", _path(name))
        assert (status, page["next"] is not None) == (200, True), name
        cursors[name] = page["next"]
    for name, other in permutations(LISTS, 2):
        status, problem = await api.ask("GET", f"{_path(name)}&after={cursors[other]}")
        assert (status, problem["code"], problem["field"]) == (422, "bad_cursor", "after"), (name, other)
        assert "must be the `next` of a page of this list" in problem["detail"]
    for name, cursor in cursors.items():
        assert (await api.ask("GET", f"{_path(name)}&after={cursor}"))[0] == 200, name


def _path(name: str) -> str:
    return f"/v1/{name}{'&' if '?' in name else '?'}limit=1"
