"""Pages show text from outside as text and no secret; bad input gets a sentence and the right status."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import asyncpg
import msgspec
import pytest
from browser_sessions import BrowserSession
from dead_letters import add_dead_deliveries
from dispatchers import STORE, DispatcherHarness, an_event
from stores import Stores
from waiting import until

from dispatcher.ledger.deliveries import Record, record
from dispatcher.ops.dead.errors import TakenByAnother
from dispatcher.ops.dead.service import DeadLetterService
from shared.domain import EventType, Failure, utc_now
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
FORM = {
    "scope": "global",
    "direction": "sent",
    "format": "phaxio-v2.1",
    "timeout_seconds": "15",
    "max_concurrent": "8",
    "signing": "generate",
}


async def test_text_from_outside_is_text_wherever_it_is_shown(
    session: BrowserSession, harness: DispatcherHarness
) -> None:
    endpoint = await harness.endpoint(url="https://user:hunter2@127.0.0.1:1/?q='><b>", enabled=True)
    event = an_event(
        1,
        EventType.FAILED,
        fax_id=EVIL,
        from_number=EVIL,
        to_number=EVIL,
        job_id=EVIL,
        status=EVIL,
        failure=Failure(message=EVIL),
        fields={EVIL: EVIL},
    )
    await harness.take(event)
    (delivery,) = await harness.deliveries()
    await record(
        harness.pool,
        [
            Record(
                delivery_id=delivery["id"],
                attempt=1,
                state="dead",
                reason="http_500",
                started_at=utc_now(),
                seconds=0.1,
                outcome="not_told",
                http_status=500,
                error="http_500",
                url="https://127.0.0.1:1/?q='><b>",
                answer=EVIL.encode() + b"\x00\xff\x1b[31m",
            )
        ],
    )
    await session.log_in(name=EVIL)
    found = await session.get(f"/faxes?q={delivery['id']}")
    assert found.status == 303
    pages = [found.location, "/", "/faxes", "/dead", "/dead/list", f"/dead/letters/{delivery['id']}", "/audit"]
    pages += [
        "/dead/preview?do=replay&all=true",
        f"/endpoints/{endpoint.id}",
        "/endpoints",
        f"/faxes?q={EVIL}x",
        f"/faxes?job_id={EVIL}",
        f"/faxes?number={EVIL}",
        f"/faxes?since={EVIL[:40]}",
        "/events",
        f"/events?fax_id={EVIL}",
        "/deliveries",
        f"/deliveries?reason={EVIL}",
        f"/endpoints/{endpoint.id}/deliveries",
        "/attempts",
    ]
    for path in pages:
        page = await session.get(path)
        assert page.status == (422 if "number=" in path or "since=" in path else 200), path
        assert "<script>alert" not in page.text, path
        assert "<img" not in page.text, path
        assert "><b>" not in page.text, path
        assert "hunter2" not in page.text, path
    assert "&lt;script&gt;alert(1)" in (await session.get(f"/dead/letters/{delivery['id']}")).text


async def test_bad_input_gets_a_sentence_and_a_right_status(session: BrowserSession) -> None:
    await session.log_in()
    for path, status, sentence in (
        ("/faxes/phaxio/none", 404, "Nothing is known of the fax none of phaxio"),
        ("/faxes/nobody/1", 404, "Nothing is known"),
        ("/faxes?q=%00", 422, "such as a NUL"),
        ("/faxes?state=happy", 422, "state"),
        ("/faxes?after=zzz", 404, "Use the links"),
        ("/dead?kind=postcard", 422, "kind"),
        ("/dead?died=tomorrow", 422, "`tomorrow` is unknown; known are 1h"),
        ("/dead/list?endpoint_id=7", 422, "endpoint_id"),
        ("/dead/list?after=zzz", 404, "Use the links"),
        ("/dead/letters/none", 404, "none"),
        ("/dead/preview?id=none", 404, "none"),
        ("/dead/preview?do=burn", 404, "replayed or discarded"),
        ("/dead/preview?do=replay", 422, "Nothing was selected"),
        ("/dead/preview?do=replay&causes=timeout", 422, "`causes` is no filter of this page; known are kind, "),
        ("/dead/list?state=dead", 422, "`state` is no filter of this page"),
        ("/dead/list?kind=event&kind=callback", 422, "kind: was given twice"),
        ("/faxes?numbers=1", 422, "`numbers` is no filter of this page"),
        ("/endpoints?host=a", 422, "`host` is no filter of this page"),
        ("/?limit=1", 422, "`limit` is no filter of this page; this page has none"),
        ("/endpoints?scope=world", 422, "scope: `world` is unknown; known are fax, global, number"),
        ("/endpoints?scope=global&q=1", 422, "q: "),
        ("/endpoints?scope=fax&after=zzz", 422, "`after` must be"),
        ("/dead/jobs/7", 404, "There is no job"),
        ("/dead/jobs/00000000-0000-0000-0000-000000000000", 404, ""),
        ("/endpoints/7", 404, "There is no endpoint"),
        ("/endpoints/00000000-0000-0000-0000-000000000000", 404, "There is no endpoint"),
        ("/audit?after=-1", 422, "`after` must be"),
        ("/audit?after=zzz", 422, "`after` must be"),
        ("/audit?before=7", 422, "before"),
        ("/audit?since=soon", 422, "since: "),
        ("/audit?since=today&until=yesterday", 422, "is not after since"),
    ):
        page = await session.get(path)
        assert (page.status, path) == (status, path)
        assert sentence in page.said, path
        assert "<h1>" in page.text


async def test_a_replay_of_nothing_says_so(session: BrowserSession) -> None:
    await session.log_in()
    page = await session.post("/dead/begin", {"do": "replay", "cause": "timeout"})
    assert page.status == 404
    page = await session.post("/dead/begin", {"do": "replay"})
    assert (page.status, "Nothing was selected" in page.text) == (422, True)
    page = await session.post("/dead/begin", {"do": "discard", "cause": "timeout", "reason": " "})
    assert page.status == 422
    assert "Enter a reason" in page.text


async def test_a_filter_narrows_what_is_shown_and_what_is_replayed(
    session: BrowserSession, harness: DispatcherHarness
) -> None:
    endpoints = [await harness.endpoint(), await harness.endpoint()]
    await add_dead_deliveries(harness, endpoints, 20, causes=("timeout", "tls"))
    await session.log_in()
    page = await session.get("/dead")
    assert "20 dead letters, in 2 groups" in page.text
    page = await session.get(f"/dead?endpoint_id={endpoints[0].id}")
    assert "10 dead letters match, in 2 groups" in page.text
    assert f"endpoint_id={endpoints[0].id}&amp;kind=delivery&amp;cause=timeout&amp;do=replay" in page.text
    page = await session.get(f"/dead/preview?do=replay&endpoint_id={endpoints[0].id}&cause=tls")
    assert "Replay 5 dead letters?" in page.text
    assert (page.value("endpoint_id"), page.value("cause"), page.value("do")) == (str(endpoints[0].id), "tls", "replay")


async def test_a_form_that_is_sent_twice_adds_one_endpoint(session: BrowserSession, harness: DispatcherHarness) -> None:
    await session.log_in()
    page = await session.get("/endpoints/new")
    form = {**FORM, "url": harness.receiver.url, "command_id": page.value("command_id")}
    answers = [await session.post("/endpoints/new", form) for _ in range(3)]
    assert len({answer.location for answer in answers}) == 1
    (endpoint,) = await STORE.everything(harness.pool)
    shown = await session.get(answers[0].location)
    assert endpoint.tokens[0] in shown.text
    assert endpoint.tokens[0] not in (await session.get(answers[0].location)).text, "shown once"
    changed = await session.post("/endpoints/new", {**form, "url": harness.receiver.base_url + "/other"})
    assert changed.status == 409


async def test_a_first_page_that_is_open_elsewhere_does_not_swallow_the_token_that_is_shown_once(
    session: BrowserSession, harness: DispatcherHarness
) -> None:
    await session.log_in()
    added = await session.post("/endpoints/new", {**FORM, "url": harness.receiver.url})
    (endpoint,) = await STORE.everything(harness.pool)
    assert endpoint.tokens[0] not in (await session.get("/overview/live")).text
    assert endpoint.tokens[0] in (await session.get(added.location)).text


async def test_dead_letters_that_another_job_holds_are_said_and_not_a_crash(
    session: BrowserSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def taken(*_: object) -> None:
        raise TakenByAnother("another request reads `dead.callbacks` at this moment: try again")

    monkeypatch.setattr(DeadLetterService, "groups", taken)
    await session.log_in()
    page = await session.get("/dead")
    assert page.status == 409
    assert "Another request reads" in page.text
    page = await session.get("/")
    assert page.status == 200
    assert "may be old" in page.text


async def test_a_refused_form_keeps_what_was_typed_and_names_the_field(
    session: BrowserSession, harness: DispatcherHarness
) -> None:
    await session.log_in()
    page = await session.post(
        "/endpoints/new", {**FORM, "scope": "number", "number": "12<3", "url": "http://x.example/", "inflight": "on"}
    )
    assert page.status == 422
    assert 'value="12&lt;3"' in page.text
    assert 'aria-describedby="number-wrong"' in page.text
    assert 'name="inflight" type="checkbox" checked' in page.text
    page = await session.post("/endpoints/new", {**FORM, "url": "http://10.0.0.1/"})
    assert "is not public" in page.text
    assert await harness.pool.fetchval("SELECT count(*) FROM endpoints") == 0


async def test_every_change_is_audited_with_its_person_and_without_secrets(
    session: BrowserSession, harness: DispatcherHarness
) -> None:
    endpoint = await harness.endpoint(url=harness.receiver.url.replace("//", "//user:hunter2@"))
    await session.log_in(name="Grace")
    page = await session.get(f"/endpoints/{endpoint.id}")
    form = {**FORM, "url": page.value("url").replace("/hook", "/new"), "inflight": "on"}
    assert (await session.post(f"/endpoints/{endpoint.id}", form)).status == 303
    stored = await STORE.get(harness.pool, endpoint.id)
    assert stored.url == endpoint.url.replace("/hook", "/new"), "the password stays"
    await session.post(f"/endpoints/{endpoint.id}/enabled", {"enabled": ""})
    await session.post(f"/endpoints/{endpoint.id}/tokens", {"rotation": "add", "token": "a-token-of-mine"})
    assert (await session.post(f"/endpoints/{endpoint.id}/tokens", {"rotation": "burn"})).status == 422
    rows = [dict(row) for row in await harness.pool.fetch("SELECT who, what, subject, details FROM audit ORDER BY id")]
    assert {row["who"] for row in rows} == {"Grace (console)"}
    assert [row["what"] for row in rows[1:]] == ["endpoint.changed", "endpoint.changed", "endpoint.token_add"]
    assert "inflight" in msgspec.json.decode(rows[1]["details"])["fields"]
    text = str(rows) + (await session.get("/audit")).text
    for secret in ("hunter2", "a-token-of-mine"):
        assert secret not in text


async def test_the_page_pauses_and_resumes_and_says_beforehand_what_disabling_does(
    session: BrowserSession, harness: DispatcherHarness
) -> None:
    endpoint = await harness.endpoint()
    path = f"/endpoints/{endpoint.id}"
    await session.log_in()
    assert (await session.post(f"{path}/paused", {"paused": "on"})).status == 303
    await harness.publish(an_event(1))
    await harness.events(1)
    page = await session.get(path)
    assert "It is paused: 1 delivery waits." in page.text
    assert "The 1 delivery that it is still owed become dead letters" not in page.text
    assert "The delivery that it is still owed becomes a dead letter when due" in page.text
    assert "To have them wait instead, pause it." not in page.text, "it is paused"
    assert "is paused; 1 delivery waits" in (await session.get("/")).text
    assert (await session.post(f"{path}/paused", {"paused": ""})).status == 303
    await harness.settled(1)
    page = await session.get(path)
    assert "To have them wait instead, pause it." in page.text


async def test_endpoints_on_one_host_are_told_apart_by_name_or_path(
    session: BrowserSession, harness: DispatcherHarness
) -> None:
    base = harness.receiver.base_url
    named = await harness.endpoint(url=f"{base}/one?key=secret", description="Billing <1>", max_concurrent=1)
    other = await harness.endpoint(url=f"{base}/two?key=secret")
    harness.receiver.answer = lambda _: 410
    await harness.publish(an_event(1))
    await harness.settled(2)
    await session.log_in()
    place = f"{base.partition('//')[2]}/two"
    for path in ("/", "/dead/list", "/endpoints", "/faxes/phaxio/1"):
        text = (await session.get(path)).text
        assert "Billing &lt;1&gt;" in text, path
        assert place in text, path
    for endpoint, name in ((named, "Billing &lt;1&gt;"), (other, place)):
        assert f"<h1>{name}" in (await session.get(f"/endpoints/{endpoint.id}")).text


async def test_a_removed_endpoint_stays_readable_and_its_letters_name_it(
    session: BrowserSession, harness: DispatcherHarness
) -> None:
    endpoint = await harness.endpoint(paused=True)
    await harness.publish(an_event(1))
    await harness.events(1)
    await session.log_in()
    path = f"/endpoints/{endpoint.id}"
    assert (await session.post(f"{path}/remove", {})).status == 303
    await harness.settled(1)
    place = f"{harness.receiver.base_url.partition('//')[2]}/hook"
    page = await session.get(path)
    assert (page.status, "It was removed" in page.text) == (200, True)
    assert "removed an endpoint" in page.text, "who removed it"
    assert "phaxio:1-fax.delivered" in page.text, "what it was owed"
    for form in (f"{path}/paused", f"{path}/remove", f"{path}/tokens", ">Save<"):
        assert form not in page.text, "nothing can be changed"
    letter = await harness.pool.fetchval("SELECT id FROM deliveries")
    for shown in (
        "/",
        "/dead",
        "/dead/list",
        f"/dead/letters/{letter}",
        "/faxes/phaxio/1",
        f"/endpoints?q={endpoint.id}",
    ):
        assert place in (await session.get(shown)).text, shown
    assert (await session.post(f"{path}/paused", {"paused": "on"})).status == 404


async def test_the_page_offers_the_next_step_of_a_rotation_and_a_repeated_click_undoes_nothing(
    session: BrowserSession, harness: DispatcherHarness
) -> None:
    endpoint = await harness.endpoint(tokens=("the-first-token-of-all",))
    await session.log_in()

    async def rotate(rotation: str) -> int:
        return (await session.post(f"/endpoints/{endpoint.id}/tokens", {"rotation": rotation})).status

    async def offered() -> list[str]:
        text = (await session.get(f"/endpoints/{endpoint.id}")).text
        steps = ("Add a token", "Make the newest the first", "Drop the older one…")
        return [step for step in steps if step in text]

    assert await offered() == ["Add a token"]
    assert await rotate("add") == 303
    assert await offered() == ["Make the newest the first"]
    added = (await STORE.get(harness.pool, endpoint.id)).tokens[-1]
    assert await rotate("drop") == 409, "of a page that was shown before the token was added"
    for _ in range(2):
        assert await rotate("promote") == 303
        assert (await STORE.get(harness.pool, endpoint.id)).tokens == (added, "the-first-token-of-all")
    assert await offered() == ["Drop the older one…"]
    text = (await session.get(f"/endpoints/{endpoint.id}")).text
    assert "…-all" in text, "the last four characters tell them apart"
    assert "the-first-token" not in text
    assert added not in text
    for _ in range(2):
        assert await rotate("drop") == 303
        assert (await STORE.get(harness.pool, endpoint.id)).tokens == (added,)


async def test_a_ledger_that_is_away_is_said_and_the_first_page_still_stands(
    session: BrowserSession, harness: DispatcherHarness, database_url: str, service_stores: Stores
) -> None:
    endpoint = await harness.endpoint()
    await add_dead_deliveries(harness, [endpoint], 2, causes=("timeout",))
    await session.log_in()
    assert "2 deliveries to 127.0.0.1" in (await session.get("/")).text
    name = database_url.rpartition("/")[2]
    admin = await asyncpg.connect(service_stores.database_url)
    await admin.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false')
    try:
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)

        async def is_said() -> bool:
            return "may be old" in (await session.get("/")).text

        await until(is_said, "the first page says that it may be old", 30)
        page = await session.get("/")
        assert page.status == 200
        assert "2 deliveries to 127.0.0.1" in page.text
        page = await session.get("/faxes")
        assert page.status == 503
        assert "The ledger does not answer" in page.text
    finally:
        await admin.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true')
        await admin.close()

    async def is_back() -> bool:
        return (await session.get("/faxes")).status == 200

    await until(is_back, "the pages are back", 30)


async def test_a_stalled_fax_is_marked_in_the_list_and_on_its_page_until_it_ends(
    session: BrowserSession, harness: DispatcherHarness
) -> None:
    await session.log_in()
    await harness.take(an_event(1, EventType.SENDING), an_event(1, EventType.STALLED), an_event(2))
    mark = '<span class="pill waiting">stalled</span>'
    for path in ("/faxes", "/faxes?state=fax.stalled", "/faxes/phaxio/1"):
        assert (await session.get(path)).text.count(mark) == 1, path
    assert "/faxes/phaxio/2" not in (await session.get("/faxes?state=fax.stalled")).text
    await harness.take(an_event(1))
    for path in ("/faxes", "/faxes?state=fax.stalled", "/faxes/phaxio/1"):
        assert mark not in (await session.get(path)).text, path
