"""A cursor belongs to its list: that of another one is refused, instead of beginning somewhere."""

from itertools import permutations

from apis import Api
from dead_letters import add_dead_deliveries
from dispatchers import DispatcherHarness

LISTS = ("faxes", "events", "deliveries", "dead-letters", "attempts", "audit", "endpoints")


async def test_the_cursor_of_another_list_is_refused(api: Api, harness: DispatcherHarness) -> None:
    endpoints = [await harness.endpoint(), await harness.endpoint(description="another")]
    await add_dead_deliveries(harness, endpoints, 2)
    await harness.pool.execute(
        "INSERT INTO attempts (delivery_id, number, started_at, seconds, outcome, url, answer) "
        "SELECT id, 1, now(), 0.1, 'told', 'http://127.0.0.1/', '' FROM deliveries ON CONFLICT DO NOTHING"
    )
    for step in ("pause", "resume"):
        await api.ask("POST", f"/v1/endpoints/{endpoints[0].id}/{step}", {})
    cursors = {}
    for name in LISTS:
        status, page = await api.ask("GET", f"/v1/{name}?limit=1")
        assert (status, page["next"] is not None) == (200, True), name
        cursors[name] = page["next"]
    for name, other in permutations(LISTS, 2):
        if {name, other} == {"deliveries", "endpoints"}:  # the id of one, which the other does not have
            continue
        status, problem = await api.ask("GET", f"/v1/{name}?limit=1&after={cursors[other]}")
        assert (status, "must be the `next`" in problem.get("detail", "")) == (422, True), (name, other)
    for name, cursor in cursors.items():
        assert (await api.ask("GET", f"/v1/{name}?limit=1&after={cursor}"))[0] == 200, name
