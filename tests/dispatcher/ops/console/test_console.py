"""Pages show text from outside as text and no secret; bad input gets a sentence and the right status."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import asyncpg
import pytest
from browser_sessions import BrowserSession
from dead_letters import add_dead_deliveries
from dispatchers import DispatcherHarness, an_event
from stores import Stores
from waiting import until

from dispatcher.ledger.deliveries import Record, record
from dispatcher.ops.dead.errors import TakenByAnother
from dispatcher.ops.dead.service import DeadLetterService
from shared.domain import EventType, Failure, utc_now
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]
EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


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
