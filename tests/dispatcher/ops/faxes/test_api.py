"""`/v1/faxes`, `/v1/events`, `/v1/deliveries`: a fax's whole story, and lists that neither skip nor repeat."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web
from dispatchers import DispatcherHarness, an_event
from waiting import until
from yarl import URL

from shared.domain import EventType
from shared.ids import uuid7
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]
Ask = Callable[..., Any]


@asynccontextmanager
async def asking(dispatching: Dispatching, unused_tcp_port: int) -> AsyncIterator[Ask]:
    """Run a dispatcher; yield what is called with a path as it stands in a URL, for the answer or (status, problem)."""
    async with (
        dispatching(OPS_TOKEN="ops-token"),
        aiohttp.ClientSession(headers={"Authorization": "Bearer ops-token"}) as http,
    ):

        async def asked(path: str) -> Any:
            async with http.get(URL(f"http://127.0.0.1:{unused_tcp_port}{path}", encoded=True)) as response:
                body = await response.json(content_type=None)
                if response.status >= 400:
                    assert response.content_type == "application/problem+json"
                    return response.status, body
                return body

        yield asked


@pytest.fixture
async def ask(dispatching: Dispatching, unused_tcp_port: int) -> AsyncIterator[Ask]:
    async with asking(dispatching, unused_tcp_port) as asked:
        yield asked


async def test_a_fax_tells_its_events_deliveries_and_attempts_in_order_with_what_was_answered(
    harness: DispatcherHarness, dispatching: Dispatching, unused_tcp_port: int
) -> None:
    endpoint = await harness.endpoint(inflight=True, format="standard-v1", tokens=("whsec_b2xk",))
    async with asking(dispatching, unused_tcp_port) as ask:
        harness.receiver.answer = lambda _: web.Response(status=200, body=b"thank you \x1b[31m\xff")
        await harness.publish(an_event(1, EventType.SENDING))
        await harness.settled(1)
        await harness.publish(an_event(1, EventType.DELIVERED, pages=2, from_number="+15550001", to_number="+15550002"))
        await harness.settled(2)
        await harness.publish(an_event(1, EventType.QUEUED))
        await harness.settled(3)
        story = await ask("/v1/faxes/phaxio/1")
        assert (story["state"], story["conflicting"], story["pages"]) == ("fax.delivered", False, 2)
        assert [(each["type"], each["is_overtaken"]) for each in story["events"]] == [
            ("fax.sending", True),
            ("fax.delivered", False),
            ("fax.queued", True),
        ]
        assert [each["state"] for each in story["deliveries"]] == ["told", "told", "skipped"]
        assert story["deliveries"][2]["reason"] == "overtaken"
        (attempt,) = story["deliveries"][0]["attempts"]
        assert (attempt["number"], attempt["outcome"], attempt["http_status"]) == (1, "told", 200)
        assert attempt["answer"] == "thank you \\x1b[31m\ufffd"
        assert attempt["seconds"] > 0
        assert {each["endpoint_id"] for each in story["deliveries"]} == {str(endpoint.id)}
        assert story["summary"] == "fax.delivered, 3 events, 3 deliveries: 2 delivered, 1 skipped"
        assert story["events"][1]["content"]["pages"] == 2
        assert story["is_cut"] is False


async def test_different_endings_are_shown_as_conflicting(ask: Ask, harness: DispatcherHarness) -> None:
    await harness.take(an_event(1, EventType.FAILED), an_event(1, EventType.DELIVERED))
    story = await ask("/v1/faxes/phaxio/1")
    assert (story["state"], story["conflicting"]) == ("fax.delivered", True)
    assert "different endings" in story["summary"]
    assert [each["fax_id"] for each in (await ask("/v1/faxes?conflicting=true"))["items"]] == ["1"]


async def test_any_fax_id_can_be_asked_for(ask: Ask, harness: DispatcherHarness) -> None:
    for fax_id in ("1700000000.17", "a/b", "a//b/", "50%2F", "ä ö", "a?b#c", "x:y", "{id}", "..", "%", "+1"):
        await harness.take(an_event(1, fax_id=fax_id, id=f"phaxio:{fax_id}"))
        assert (await ask(f"/v1/faxes/phaxio/{quote(fax_id, safe='')}"))["fax_id"] == fax_id
        assert (await ask(f"/v1/events/{quote(f'phaxio:{fax_id}', safe='')}"))["fax_id"] == fax_id


async def test_a_fax_id_with_slashes_may_stand_in_the_path_as_it_is(ask: Ask, harness: DispatcherHarness) -> None:
    await harness.take(an_event(1, fax_id="pbx/7/1700000000.17"))
    assert (await ask("/v1/faxes/phaxio/pbx/7/1700000000.17"))["state"] == "fax.delivered"


async def test_what_is_not_known_is_a_404_that_says_so(ask: Ask) -> None:
    for path in (
        "/v1/faxes/phaxio/1",
        "/v1/faxes/nobody/1",
        "/v1/faxes/phaxio/%00",
        "/v1/events/x",
        "/v1/events/%00",
        "/v1/deliveries/x",
        f"/v1/deliveries/{uuid7()}",
    ):
        status, problem = await ask(path)
        assert (status, problem["code"]) == (404, "not_found"), path
        assert len(problem["detail"]) > 10


async def test_a_fax_whose_content_is_pruned_still_tells_its_story(
    harness: DispatcherHarness, dispatching: Dispatching, unused_tcp_port: int
) -> None:
    await harness.endpoint()
    async with asking(dispatching, unused_tcp_port) as ask:
        await harness.publish(an_event(1))
        await harness.settled(1)
        await harness.pool.execute("UPDATE events SET body = NULL")
        await harness.pool.execute("DELETE FROM attempts")
        story = await ask("/v1/faxes/phaxio/1")
        (event,) = story["events"]
        assert (event["is_pruned"], event["content"], event["type"]) == (True, None, "fax.delivered")
        assert story["deliveries"][0]["attempts"] == []
        assert story["deliveries"][0]["explanation"] == "delivered at attempt 1"
        assert (await ask(f"/v1/events/{event['id']}"))["content"] is None
        assert (await ask("/v1/events"))["items"][0]["is_pruned"] is True


async def test_a_story_says_why_each_endpoint_that_could_apply_is_owed_nothing(
    ask: Ask, harness: DispatcherHarness
) -> None:
    disabled = await harness.endpoint(enabled=False)
    received_only = await harness.endpoint(direction="received")
    await harness.take(an_event(1))
    added_later = await harness.endpoint()
    await harness.pool.execute("UPDATE events SET recorded_at = recorded_at - interval '1 hour'")
    await harness.pool.execute(
        "UPDATE endpoints SET created_at = created_at - interval '2 hours', updated_at = updated_at - interval '2 hours' "
        "WHERE id <> $1",
        added_later.id,
    )
    story = await ask("/v1/faxes/phaxio/1")
    assert story["summary"] == "fax.delivered, 1 event, 1 delivery: 1 skipped"
    (recorded,) = story["deliveries"]
    assert (recorded["endpoint_id"], recorded["reason"]) == (str(disabled.id), "endpoint_disabled")
    assert recorded["explanation"].startswith("skipped: the endpoint was disabled")
    why = {each["endpoint_id"]: each["why"] for each in story["untold"]}
    assert set(why) == {str(received_only.id), str(added_later.id)}
    assert why[str(received_only.id)] == "it is for received faxes only, and this one was sent"
    assert why[str(added_later.id)].startswith("it was added later, ")


async def test_a_delivery_that_is_still_owed_says_why_and_when_it_is_due(
    harness: DispatcherHarness, dispatching: Dispatching, unused_tcp_port: int
) -> None:
    await harness.endpoint()
    async with asking(dispatching, unused_tcp_port) as ask:
        harness.receiver.answer = lambda _: 503
        await harness.publish(an_event(1))
        await harness.receiver.got(1)

        async def explanation() -> str:
            (delivery,) = (await ask("/v1/deliveries?event_id=phaxio:1-fax.delivered"))["items"]
            return str(delivery["explanation"])

        async def is_retrying() -> bool:
            return "1 attempt failed" in await explanation()

        await until(is_retrying, "the failure is recorded")
        assert (await explanation()).startswith("not delivered yet: 1 attempt failed; attempt 2 is due in ")
        (delivery,) = (await ask("/v1/deliveries?state=retrying"))["items"]
        assert delivery["due_at"] is not None
        shown = await ask(f"/v1/deliveries/{delivery['id']}")
        assert shown["attempts"][0]["error"] == "http_503"


REFUSED = [
    ("/v1/faxes?after=nonsense", "after"),
    ("/v1/faxes?after=WyJhIl0", "after"),
    ("/v1/events?after=%FF", "after"),
    ("/v1/deliveries?after=bnVsbA", "after"),
    ("/v1/deliveries?limit=0", "limit"),
    ("/v1/deliveries?limit=201", "limit"),
    ("/v1/faxes?limit=x", "limit"),
    ("/v1/faxes?limit=1&limit=2", "limit"),
    ("/v1/faxes?provider=nobody", "provider"),
    ("/v1/faxes?colour=red", "colour"),
    ("/v1/deliveries?endpoint_id=x", "endpoint_id"),
    ("/v1/deliveries?state=lost", "state"),
]


async def test_what_cannot_be_asked_is_refused_by_name(ask: Ask) -> None:
    for path, field in REFUSED:
        status, problem = await ask(path)
        assert (status, problem["field"]) == (422, field), path
        assert problem["detail"]
