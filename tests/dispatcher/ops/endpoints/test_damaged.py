"""An endpoint whose tokens or headers are damaged in the ledger is shown with what to do, set anew, or removed."""

from typing import Any

import aiohttp
import msgspec
import pytest
from apis import Api, faxhook
from browser_sessions import BrowserSession
from dispatchers import STORE, DispatcherHarness, an_event

from dispatcher.policy.endpoint import Endpoint

TOKENS, HEADERS = "sealed_tokens = '{\\x00}'", "sealed_headers = '\\x00'"
BOTH = f"{TOKENS}, {HEADERS}"
SEALED = "SELECT sealed_tokens, sealed_headers FROM endpoints"


async def damaged(harness: DispatcherHarness, what: str = TOKENS, **fields: Any) -> Endpoint:
    """Add an endpoint with a token and a header, and damage its row."""
    made = await harness.endpoint(**{"tokens": ("its-first-token",), "headers": (("X-Key", "its-key"),), **fields})
    await harness.pool.execute(f"UPDATE endpoints SET {what} WHERE id = $1", made.id)  # noqa: S608 - constants
    return made


async def stored(harness: DispatcherHarness, endpoint: Endpoint) -> Endpoint:
    found = await STORE.get(harness.pool, endpoint.id)
    assert found is not None
    return found


async def is_told(harness: DispatcherHarness, number: int) -> bool:
    """Publish an event, and say whether it is delivered to the only endpoint."""
    event = an_event(number)
    await harness.publish(event)
    settled = await harness.settled(number)
    return next(each["state"] for each in settled if each["event_id"] == event.id) == "told"


async def test_it_is_listed_and_shown_and_named_as_damaged(api: Api, harness: DispatcherHarness) -> None:
    broken = await damaged(harness, BOTH)
    whole = await harness.endpoint()
    status, page = await api.ask("GET", "/v1/endpoints")
    assert (status, {each["id"]: each["damaged"] for each in page["items"]}) == (
        200,
        {str(broken.id): ["tokens", "headers"], str(whole.id): []},
    )
    for path in ("", "/health", "/rates"):
        assert (await api.ask("GET", f"/v1/endpoints/{broken.id}{path}"))[0] == 200, path
    _, shown = await api.ask("GET", f"/v1/endpoints/{broken.id}")
    assert (shown["damaged"], shown["token_list"], shown["signed"]) == (["tokens", "headers"], [], True)
    status, problem = await api.ask("POST", f"/v1/endpoints/{broken.id}/test", {})
    assert (status, "set them again, or remove the endpoint" in problem["detail"]) == (422, True)
    assert harness.receiver.received == [], "never unsigned, never without its headers"


async def test_other_fields_are_changed_and_what_is_damaged_stays(api: Api, harness: DispatcherHarness) -> None:
    endpoint = await damaged(harness, BOTH)
    before = await harness.pool.fetchrow(SEALED)
    path = f"/v1/endpoints/{endpoint.id}"
    status, changed = await api.ask("PATCH", path, {"timeout_seconds": 30, "description": "billing"})
    assert (status, changed["damaged"]) == (200, ["tokens", "headers"])
    for step in ("pause", "resume"):
        assert (await api.ask("POST", f"{path}/{step}", {}))[0] == 200
    found = await stored(harness, endpoint)
    assert (found.timeout_seconds, found.damaged) == (30, ("tokens", "headers"))
    assert await harness.pool.fetchrow(SEALED) == before, "a person may make something of them"


async def test_set_again_it_gets_its_events(api: Api, harness: DispatcherHarness) -> None:
    endpoint = await damaged(harness, BOTH)
    path = f"/v1/endpoints/{endpoint.id}"
    status, changed = await api.ask("PATCH", path, {"tokens": ["another-token"]})
    assert (status, changed["damaged"]) == (200, ["headers"])
    status, problem = await api.ask("PATCH", path, {"headers": {"X-Key": None}})
    assert (status, "has no value yet" in problem["detail"]) == (422, True), "what is lost cannot be kept"
    status, changed = await api.ask("PATCH", path, {"headers": {"X-Key": "another-key"}})
    assert (status, changed["damaged"], changed["headers"]) == (200, [], ["X-Key"])
    assert await is_told(harness, 1)
    assert harness.receiver.received[0].headers["X-Key"] == "another-key"
    details = await harness.pool.fetch("SELECT details FROM audit WHERE what = 'endpoint.changed' ORDER BY id")
    told = [msgspec.json.decode(row["details"]) for row in details]
    assert [(each["old"]["damaged"], each["new"]["damaged"]) for each in told] == [
        (["tokens", "headers"], ["headers"]),
        (["headers"], []),
    ]


async def test_a_token_that_is_added_takes_the_place_of_damaged_ones(api: Api, harness: DispatcherHarness) -> None:
    endpoint = await damaged(harness)
    path = f"/v1/endpoints/{endpoint.id}/tokens"
    for action in ("promote", "drop"):
        status, problem = await api.ask("POST", path, {"action": action})
        assert (status, "are damaged in the ledger: add one" in problem["detail"]) == (422, True)
    status, rotated = await api.ask("POST", path, {"action": "add"})
    assert (status, rotated["damaged"]) == (200, [])
    assert (await stored(harness, endpoint)).tokens == (rotated["token"],)
    assert (await stored(harness, endpoint)).headers == (("X-Key", "its-key"),), "what can be read is kept"


@pytest.mark.parametrize("what", [TOKENS, HEADERS, BOTH], ids=["tokens", "headers", "both"])
async def test_it_is_removed_and_stays_readable(api: Api, harness: DispatcherHarness, what: str) -> None:
    endpoint = await damaged(harness, what)
    path = f"/v1/endpoints/{endpoint.id}"
    assert (await api.ask("DELETE", f"{path}?dry_run=true"))[0] == 200
    assert (await api.ask("DELETE", path))[0] == 200
    status, shown = await api.ask("GET", path)
    assert (status, shown["removed_at"] is not None) == (200, True)


async def test_the_command_line_shows_sets_and_removes_it(harness: DispatcherHarness) -> None:
    one, other = await damaged(harness, BOTH), await damaged(harness)
    environment = {**harness.environment, "COLUMNS": "160"}

    async def run(*arguments: str) -> str:
        code, said, complained = await faxhook(environment, "endpoints", *arguments)
        assert code == 0, complained
        return said

    assert "DAMAGED" in await run("list")
    shown = await run("show", str(one.id))
    assert "tokens and headers are damaged in the ledger, so nothing is sent to it" in shown
    assert "cannot be read" in shown
    await run("set", str(one.id), "--token", "another-token", "--header", "X-Key: another-key")
    assert (await stored(harness, one)).tokens == ("another-token",)
    said = await run("tokens", str(other.id), "--add")
    assert "signed with it from now on" in said
    assert "--promote" not in said
    await harness.pool.execute(f"UPDATE endpoints SET {BOTH}")  # noqa: S608 - a constant
    await run("remove", str(other.id), "--yes")


async def test_the_console_shows_sets_and_removes_it(
    harness: DispatcherHarness, dispatching: Any, unused_tcp_port: int
) -> None:
    endpoint = await damaged(harness, BOTH)
    path = f"/endpoints/{endpoint.id}"
    async with (
        dispatching(OPS_TOKEN="ops-token"),
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http,
    ):
        session = BrowserSession(http, f"http://127.0.0.1:{unused_tcp_port}")
        await session.log_in("ops-token", "Ada")
        for page in ("/", "/endpoints", path, f"{path}/recover", f"{path}/deliveries", "/attempts", "/dead"):
            assert (await session.get(page)).status == 200, page
        assert "damaged" in (await session.get("/endpoints")).text
        page = await session.get(path)
        assert "Its tokens and headers are damaged in the ledger" in page.text
        # Saved as it is, nothing of it is lost; set again, it is whole.
        form = {"scope": "global", "direction": "any", "url": endpoint.url, "format": endpoint.format}
        form |= {"timeout_seconds": "20", "max_concurrent": "8", "headers": ""}
        assert (await session.post(path, form)).status == 303
        assert (await stored(harness, endpoint)).damaged == ("tokens", "headers")
        assert (await session.post(path, {**form, "headers": "X-Key: another-key"})).status == 303
        page = await session.post(f"{path}/tokens", {"rotation": "add", "token": "\x07"})
        assert (page.status, 'aria-describedby="token-wrong"' in page.text) == (422, True)
        assert (await session.post(f"{path}/tokens", {"rotation": "add", "token": "another-token"})).status == 303
        found = await stored(harness, endpoint)
        assert (found.tokens, found.headers, found.damaged) == (
            ("another-token",),
            (("X-Key", "another-key"),),
            (),
        )
        await harness.pool.execute(f"UPDATE endpoints SET {BOTH}")  # noqa: S608 - a constant
        assert (await session.post(f"{path}/remove")).status == 303
