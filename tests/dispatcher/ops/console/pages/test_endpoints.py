"""The page of an endpoint: what it is set to, paused, removed, and the next step of a rotation; each change is audited."""

import msgspec
from browser_sessions import BrowserSession
from dispatchers import STORE, DispatcherHarness, an_event

FORM = {
    "scope": "global",
    "direction": "sent",
    "format": "phaxio-v2.1",
    "timeout_seconds": "15",
    "max_concurrent": "8",
    "signing": "generate",
}


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
    assert "phaxio fax 1</strong>" in page.text, "what it was owed"
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
