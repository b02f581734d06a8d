"""How endpoints are doing (told, failing, owed, dead), a sample sent to one, its tokens rotated: API and commands."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import aiohttp
import asyncpg
import msgspec
import pytest
from aiohttp import web
from apis import faxhook
from dispatchers import STORE, DispatcherHarness, an_event
from ledgers import endpoint, take
from receiver import Receiver

from dispatcher.ledger.deliveries import Record, record
from dispatcher.ledger.intake import Intake
from dispatcher.ops.endpoints.reading.health import EndpointHealth, EndpointHealthReader
from shared.domain import EventType, utc_now
from shared.ids import uuid7
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]


async def attempted(pool: asyncpg.Pool, number: int, *, minutes_ago: float, **fields: Any) -> None:
    """Take event *number* in and write an attempt at its one delivery."""
    await take(pool, an_event(number))
    facts = {
        "delivery_id": await pool.fetchval("SELECT id FROM deliveries ORDER BY id DESC LIMIT 1"),
        "attempt": 1,
        "state": "retrying",
        "wait_seconds": 300.0,
        "started_at": utc_now() - timedelta(minutes=minutes_ago),
        "seconds": 0.1,
        "outcome": "not_told",
        "error": "timeout",
    }
    await record(pool, [Record(**{**facts, **fields})])


TOLD: dict[str, Any] = {"state": "told", "outcome": "told", "error": None, "http_status": 200}


async def health(pool: asyncpg.Pool, **known: Any) -> EndpointHealth:
    ids = [row["id"] for row in await pool.fetch("SELECT id FROM endpoints")]
    (found,) = (await EndpointHealthReader(pool, **known).of(ids)).values()
    return found


async def test_an_endpoint_that_was_never_tried_is_idle(pool: asyncpg.Pool) -> None:
    await endpoint(pool)
    found = await health(pool)
    assert (found.verdict, found.sentence, found.circuit) == ("idle", "nothing was tried lately", None)


async def test_an_endpoint_that_is_told_is_healthy_whatever_failed_before(pool: asyncpg.Pool) -> None:
    await endpoint(pool)
    await attempted(pool, 1, minutes_ago=9)
    await attempted(pool, 2, minutes_ago=5, **TOLD)
    found = await health(pool)
    assert (found.verdict, found.told, found.failed, found.failing_since) == ("healthy", 1, 1, None)
    assert found.owed == 1
    assert re.match(r"last delivered 5 min( \d+ s)? ago, 1 delivery owed, the next due in ", found.sentence)


async def test_a_failing_endpoint_is_failing_since_the_first_failure_after_it_was_last_told(pool: asyncpg.Pool) -> None:
    await endpoint(pool)
    await attempted(pool, 1, minutes_ago=90)
    await attempted(pool, 2, minutes_ago=60, **TOLD)
    await attempted(pool, 3, minutes_ago=30)
    await attempted(pool, 4, minutes_ago=10, state="dead", error="http_500", http_status=500, reason="http_500")
    found = await health(pool)
    assert (found.verdict, found.last_error, found.dead, found.owed) == ("failing", "http_500", 1, 2)
    assert found.failing_since is not None
    assert found.failing_since - utc_now() == pytest.approx(timedelta(minutes=-30), abs=timedelta(seconds=20))
    assert re.search(r"failing since 30 min( \d+ s)? ago, it answered 500", found.sentence)


async def test_what_is_due_and_held_by_no_process_is_counted(pool: asyncpg.Pool) -> None:
    await endpoint(pool)
    await take(pool, an_event(1), an_event(2))
    assert (await health(pool)).due == 0
    await pool.execute("UPDATE deliveries SET lease_until = NULL WHERE event_id = 'phaxio:1-fax.delivered'")
    found = await health(pool)
    assert (found.owed, found.due) == (2, 1)


async def test_an_open_circuit_is_failing_though_nothing_else_says_so(pool: asyncpg.Pool) -> None:
    await endpoint(pool)
    found = await health(pool, circuit_is_open=lambda _: True)
    assert (found.verdict, found.circuit) == ("failing", "open")
    assert "circuit open" in found.sentence


async def test_disabled_and_gone_are_two_things_and_enabling_forgets_the_410(
    pool: asyncpg.Pool, environment: dict[str, str]
) -> None:
    made = await endpoint(pool)
    await STORE.gone(pool, made.id)
    assert (await health(pool)).verdict == "gone"
    assert (await faxhook(environment, "endpoints", "set", str(made.id), "--disable", "--yes"))[0] == 0
    assert (await health(pool)).verdict == "gone", "disabling what is gone changes nothing"
    assert (await faxhook(environment, "endpoints", "set", str(made.id), "--enable"))[0] == 0
    assert (await health(pool)).verdict == "idle"
    assert (await faxhook(environment, "endpoints", "set", str(made.id), "--disable", "--yes"))[0] == 0
    assert (await health(pool)).verdict == "disabled"


async def test_paused_is_neither_failing_nor_disabled_and_says_what_waits(pool: asyncpg.Pool) -> None:
    made = await endpoint(pool)
    await attempted(pool, 1, minutes_ago=5)
    await STORE.update(pool, msgspec.structs.replace(made, paused=True))
    await Intake(pool, STORE).take([an_event(2), an_event(3)])
    found = await health(pool)
    assert (found.verdict, found.owed, found.due) == ("paused", 3, 0)
    assert found.sentence.startswith("paused: what it is owed waits until it is resumed, 3 deliveries owed")
    assert found.next_due_at is not None
    assert found.next_due_at < utc_now() + timedelta(days=1), "what is parked is due at no time"
    assert set(await EndpointHealthReader(pool).of_those_in_use()) == {made.id}
    await STORE.update(pool, made)
    assert "catching up" in (await health(pool)).sentence


async def test_many_endpoints_are_read_in_few_statements(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dispatcher.ops.endpoints.reading.health.MOST_AT_ONCE", 2)
    ids = {(await endpoint(pool)).id for _ in range(5)}
    assert set(await EndpointHealthReader(pool).of(list(ids))) == ids


async def test_an_overview_is_about_the_endpoints_in_trouble_and_in_use_and_no_others(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = EndpointHealthReader(pool)
    await endpoint(pool, scope="number", match="+15551")
    assert await reader.of_those_in_use() == {}
    failing = await endpoint(pool)
    await attempted(pool, 1, minutes_ago=5)
    gone = await endpoint(pool, scope="number", match="+15552")
    await STORE.gone(pool, gone.id)
    busy = await endpoint(pool, scope="number", match="+15553")
    await take(pool, an_event(2, EventType.RECEIVED, to_number="+15553"))
    removed = await endpoint(pool, scope="number", match="+15554")
    await take(pool, an_event(3, EventType.RECEIVED, to_number="+15554"))
    await STORE.remove(pool, removed.id)
    verdicts = {each: found.verdict for each, found in (await reader.of_those_in_use()).items()}
    assert verdicts == {failing.id: "failing", gone.id: "gone", busy.id: "idle"}
    assert set(await reader.of_those_in_trouble()) == {failing.id, gone.id}, "what is busy only is not read each minute"
    await pool.execute(
        "UPDATE deliveries SET state = 'dead', settled_at = now(), lease_until = NULL WHERE endpoint_id = ANY($1)",
        [busy.id, removed.id],
    )
    assert set(await reader.of_those_in_trouble()) == {failing.id, gone.id, busy.id}
    monkeypatch.setattr("dispatcher.ops.endpoints.reading.health.MOST_AT_ONCE", 2)
    assert set(await reader.of_those_in_use()) == {failing.id, gone.id}, "trouble first"


async def test_the_list_and_the_page_say_how_an_endpoint_is_doing(
    environment: dict[str, str], pool: asyncpg.Pool
) -> None:
    made = await endpoint(pool, tokens=("a-token",))
    await attempted(pool, 1, minutes_ago=3)
    for arguments in (("list",), ("show", str(made.id))):
        code, page, _ = await faxhook(environment, "endpoints", *arguments)
        assert (code, "failing since 3 min" in " ".join(page.replace("│", " ").split())) == (0, True), page
        assert "a-token" not in page
    _, body, _ = await faxhook(environment, "endpoints", "show", str(made.id), "--json")
    assert msgspec.json.decode(body)["health"]["failed"] == 1


FORMATS = ("phaxio-v2.1", "phaxio-v2", "phaxio-v1", "telnyx-v2", "sinch-v3", "standard-v1")


async def test_a_test_delivery_reaches_the_application_signed_in_every_format_and_leaves_no_trace_but_the_audit(
    environment: dict[str, str], pool: asyncpg.Pool, receiver: Receiver
) -> None:
    receiver.answer = lambda _: web.Response(status=202, text="thanks")
    for format_name in FORMATS:
        add = ("add", receiver.url, "--format", format_name, "--allow-duplicate", "--json")
        _, added, _ = await faxhook(environment, "endpoints", *add)
        code, said, complained = await faxhook(
            environment, "endpoints", "test", msgspec.json.decode(added)["id"], "--json"
        )
        outcome = msgspec.json.decode(said)
        assert (code, outcome["is_told"], outcome["http_status"]) == (0, True, 202), complained
        assert (outcome["answer"], outcome["type"]) == ("thanks", "fax.delivered")
        assert receiver.received[-1].event_id == outcome["event_id"]
    assert len(receiver.received) == len(FORMATS)
    for table in ("events", "faxes", "deliveries", "attempts"):
        assert await pool.fetchval(f"SELECT count(*) FROM {table}") == 0  # noqa: S608 - what is inserted is ours
    assert await pool.fetchval("SELECT count(*) FROM audit WHERE what = 'endpoint.tested'") == len(FORMATS)


async def test_a_test_delivery_is_signed_with_the_endpoints_token(
    environment: dict[str, str], receiver: Receiver
) -> None:
    _, added, _ = await faxhook(environment, "endpoints", "add", receiver.url, "--token", "secret-of-mine", "--json")
    await faxhook(environment, "endpoints", "test", msgspec.json.decode(added)["id"])
    assert receiver.received[0].phaxio_signature_matches(receiver.url, "secret-of-mine")


async def test_a_test_delivery_that_is_not_taken_says_why_and_ends_with_1(
    environment: dict[str, str], pool: asyncpg.Pool, receiver: Receiver, unused_tcp_port: int
) -> None:
    made = await endpoint(pool, url=receiver.url, failover_url=f"http://127.0.0.1:{unused_tcp_port}/")
    receiver.answer = lambda _: web.Response(status=410, text="go away \x1b[31m")
    code, page, _ = await faxhook(environment, "endpoints", "test", str(made.id))
    assert code == 1
    assert "it answered 410" in page
    assert "would disable the endpoint" in page
    assert "\x1b[31m" not in page
    assert (await health(pool)).verdict == "idle", "a test switches nothing off"
    code, page, _ = await faxhook(environment, "endpoints", "test", str(made.id), "--failover")
    assert (code, "it refused the connection" in page) == (1, True)
    inner = await endpoint(pool, url="http://10.0.0.1/hook")
    code, page, _ = await faxhook(environment, "endpoints", "test", str(inner.id))
    assert (code, "not public" in page) == (1, True), "the egress rules hold"
    mail = await endpoint(pool, url="mailto:desk@example.com")
    code, page, _ = await faxhook(environment, "endpoints", "test", str(mail.id))
    assert (code, "SMTP_URL is not set" in page) == (1, True)


async def test_what_cannot_be_tested_is_refused_by_name(environment: dict[str, str], pool: asyncpg.Pool) -> None:
    made = await endpoint(pool, format="phaxio-v2")
    for arguments, beginning in (
        ((str(made.id), "--type", "fax.lost"), "type: "),
        ((str(made.id), "--type", "fax.sending"), "type: "),
        ((str(made.id), "--failover"), "failover: "),
        ((str(uuid7()),), "there is no endpoint "),
        (("nonsense",), "there is no endpoint `nonsense`"),
    ):
        code, _, complained = await faxhook(environment, "endpoints", "test", *arguments)
        assert (code, complained.startswith(f"faxhook: {beginning}")) == (65, True), arguments


async def test_tokens_are_rotated_on_the_command_line_as_by_the_api(
    environment: dict[str, str], pool: asyncpg.Pool
) -> None:
    made = await endpoint(pool, format="standard-v1", tokens=("whsec_b2xk",))
    _, said, _ = await faxhook(environment, "endpoints", "tokens", str(made.id), "--add", "--json")
    token = msgspec.json.decode(said)["token"]
    assert "whsec_b2xk" not in said
    assert (await faxhook(environment, "endpoints", "tokens", str(made.id), "--promote"))[0] == 0
    assert (await STORE.everything(pool))[0].tokens == (token, "whsec_b2xk")
    assert (await faxhook(environment, "endpoints", "tokens", str(made.id), "--drop"))[0] == 0
    assert (await STORE.everything(pool))[0].tokens == (token,)
    whats = [row["what"] for row in await pool.fetch("SELECT what FROM audit ORDER BY id")]
    assert whats == ["endpoint.token_add", "endpoint.token_promote", "endpoint.token_drop"]
    for arguments in ((), ("--add", "--drop"), ("--drop", "--token", "whsec_bmV3"), ("--add", "--token", "§")):
        code, _, complained = await faxhook(environment, "endpoints", "tokens", str(made.id), *arguments)
        assert code == 65, complained
    assert (await STORE.everything(pool))[0].tokens == (token,)


@pytest.fixture
async def api(dispatching: Dispatching, unused_tcp_port: int) -> AsyncIterator[Callable[..., Any]]:
    async with (
        dispatching(OPS_TOKEN="ops-token"),
        aiohttp.ClientSession(headers={"Authorization": "Bearer ops-token"}) as http,
    ):

        async def ask(method: str, path: str, body: Any = None) -> tuple[int, Any]:
            async with http.request(method, f"http://127.0.0.1:{unused_tcp_port}{path}", json=body) as response:
                return response.status, await response.json(content_type=None)

        yield ask


async def test_the_api_tells_health_with_the_circuit_of_its_process_and_sends_tests(
    api: Callable[..., Any], harness: DispatcherHarness
) -> None:
    made = await harness.endpoint()
    path = f"/v1/endpoints/{made.id}"
    status, shown = await api("GET", path)
    assert (status, shown["health"]["verdict"], shown["health"]["circuit"]) == (200, "idle", "closed")
    assert (await api("GET", f"{path}/health"))[1] == shown["health"]
    status, outcome = await api("POST", f"{path}/test", {"type": "fax.failed"})
    assert (status, outcome["is_told"], outcome["type"]) == (200, True, "fax.failed")
    assert harness.receiver.received[0].event_id == outcome["event_id"]
    assert (await api("POST", f"{path}/test", {"colour": "red"}))[0] == 422
    assert (await api("POST", f"{path}/test", {"type": "fax.sending"}))[0] == 422
    assert (await api("POST", f"/v1/endpoints/{uuid7()}/test"))[0] == 404
    assert await harness.pool.fetchval("SELECT count(*) FROM deliveries") == 0
