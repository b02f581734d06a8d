"""Faxes are found by number and by how they ended yesterday; what lies dead is never green; the first page is shown."""

import re
from datetime import timedelta
from html import unescape

import pytest
from apis import faxhook
from browser_sessions import BrowserSession
from dead_letters import add_dead_deliveries
from dispatchers import DispatcherHarness, an_event

from dispatcher.ops.simulator.documents import sample_pdf
from shared.domain import EventType, Failure, utc_now
from shared.media import MediaStore

GREEN = re.compile(r'<span class="pill good">([^<]*)</span>')
WIDE = {"COLUMNS": "250"}


@pytest.mark.parametrize("typed", ["+1 (555) 010-0001", "0001", "1.555.010.0001", "00 1 555 010 0001"])
async def test_the_search_field_takes_a_number_in_any_notation(
    session: BrowserSession, harness: DispatcherHarness, typed: str
) -> None:
    await harness.take(an_event(1_001, to_number="+15550100001"), an_event(1_002, to_number="+15550100002"))
    await session.log_in()
    form = re.search(
        r'<form class="find" action="([^"]+)".*?<input id="find" name="(\w+)"', (await session.get("/")).text, re.DOTALL
    )
    assert form is not None
    found = await session.get(f"{form[1]}?{form[2]}={typed.replace('+', '%2B').replace(' ', '%20')}")
    assert (found.status, found.location.partition("=")[0]) == (303, "/faxes?number")
    page = (await session.get(found.location)).text
    assert ("/faxes/phaxio/1001" in page, "/faxes/phaxio/1002" in page) == (True, False)
    assert 'name="number" value="' in page, "the filter says what was asked"


async def test_an_id_that_looks_like_a_number_still_leads_to_its_fax(
    session: BrowserSession, harness: DispatcherHarness
) -> None:
    await harness.take(an_event(15_550_100_001), an_event(2, to_number="+15550100001"))
    await session.log_in()
    assert (await session.get("/faxes?q=15550100001")).location == "/faxes/phaxio/15550100001"


async def test_what_failed_yesterday_and_why_is_one_page_and_one_command(
    session: BrowserSession, harness: DispatcherHarness
) -> None:
    yesterday = utc_now().replace(hour=0, minute=0) - timedelta(hours=1)
    busy = Failure(type="lineError", code="42", message="Busy")
    await harness.take(
        an_event(1, EventType.FAILED, received_at=yesterday, failure=busy),
        an_event(2, EventType.FAILED, received_at=yesterday - timedelta(days=1), failure=busy),
        an_event(3, EventType.FAILED, received_at=utc_now(), failure=busy),
        an_event(4, EventType.DELIVERED, received_at=yesterday),
        an_event(5, EventType.RECEIVE_FAILED, received_at=yesterday, failure=Failure(message="No carrier")),
    )
    await session.log_in()
    offered = re.search(r'href="(/faxes\?failed=true[^"]*)">Failed yesterday', (await session.get("/faxes")).text)
    assert offered is not None, "one click from the list"
    page = (await session.get(unescape(offered[1]))).text
    assert sorted(re.findall(r'href="/faxes/phaxio/(\d+)"', page)) == ["1", "5"]
    assert ("Busy (lineError 42)" in page, "No carrier" in page) == (True, True)
    asked = ("faxes", "list", "--failed", "--since", "yesterday")
    code, said, _ = await faxhook({**harness.environment, **WIDE}, *asked, "--until", "today")
    assert (code, re.findall(r"phaxio:(\d+)", said)) == (0, ["5", "1"])
    assert ("Busy (lineError 42)" in said, "No carrier" in said) == (True, True)
    code, said, _ = await faxhook({**harness.environment, **WIDE}, *asked)
    assert (code, sorted(re.findall(r"phaxio:(\d+)", said))) == (0, ["1", "3", "5"])


async def test_a_fax_whose_webhooks_lie_dead_is_green_nowhere(
    session: BrowserSession, harness: DispatcherHarness
) -> None:
    endpoint = await harness.endpoint(url="http://127.0.0.1:1/hook")
    (letter,) = await add_dead_deliveries(harness, [endpoint], 1)
    await harness.pool.execute("UPDATE faxes SET to_number = '+15550100001'")
    await session.log_in()
    for path in (
        "/faxes",
        "/faxes?number=0001",
        "/faxes?webhooks=dead",
        "/faxes/phaxio/0",
        "/dead",
        "/dead/list",
        f"/dead/letters/{letter}",
        f"/endpoints/{endpoint.id}",
        f"/endpoints/{endpoint.id}/deliveries",
        "/attempts",
    ):
        page = (await session.get(path)).text
        assert GREEN.findall(page) == [], path
        assert "dead" in page, path


async def test_the_first_page_of_a_document_is_shown_in_the_faxs_story(
    session: BrowserSession, harness: DispatcherHarness, store: MediaStore
) -> None:
    media = await store.put(sample_pdf("a referral"), "application/pdf")
    await harness.take(an_event(1, EventType.RECEIVED, media=media), an_event(2, EventType.RECEIVED))
    await session.log_in()
    shown = re.search(
        r'<img class="page" src="([^"]+)" alt="First page[^"]*" loading="lazy"',
        (await session.get("/faxes/phaxio/1")).text,
    )
    assert shown is not None
    async with session.http.get(session.url + unescape(shown[1])) as answer:
        assert (answer.status, answer.content_type, (await answer.read())[:4]) == (200, "image/png", b"\x89PNG")
    assert "<img" not in (await session.get("/faxes/phaxio/2")).text, "it has no document"
    await session.post("/logout")
    await session.log_in("read-token-of-the-tests")
    assert "<img" not in (await session.get("/faxes/phaxio/1")).text, "a reader may not see it"
