"""Attempts are listed by a command and on a page, reached from an endpoint's page and its rates."""

import msgspec
import pytest
from apis import faxhook
from browser_sessions import BrowserSession
from dispatchers import DispatcherHarness, an_event


@pytest.fixture
def backoff() -> str:
    return "0.1s"


async def test_the_list_by_command_and_page(session: BrowserSession, harness: DispatcherHarness) -> None:
    made = await harness.endpoint(description="Billing <b>")
    harness.receiver.answer = lambda received: 503 if received.attempt == 1 else 200
    await harness.publish(an_event(1))
    (delivery,) = await harness.settled(1)
    code, said, _ = await faxhook({**harness.environment, "COLUMNS": "250"}, "attempts", "list", "--json")
    assert (code, [each["outcome"] for each in msgspec.json.decode(said)["items"]]) == (0, ["told", "not_told"])
    code, said, _ = await faxhook(
        {**harness.environment, "COLUMNS": "250"}, "attempts", "list", "--failed", "--endpoint", str(made.id)
    )
    assert (code, len(said.splitlines()), "http_503" in said, str(delivery["id"]) in said) == (0, 2, True, True)
    for arguments, sentence in (
        (["--delivered", "--error", "timeout"], "--delivered and --error contradict each other"),
        (["--fax", "fox:1"], "--fax: `fox` is unknown"),
        (["--endpoint", "7"], "--endpoint: must be"),
        (["--since", "today", "--until", "yesterday"], "is not after since"),
    ):
        code, _, complained = await faxhook(harness.environment, "attempts", "list", *arguments)
        assert (code, sentence in complained) == (65, True), complained
    await session.log_in()
    page = (await session.get(f"/endpoints/{made.id}")).text
    assert f'href="/attempts?endpoint_id={made.id}"' in page
    assert page.count(f'href="/attempts?endpoint_id={made.id}&amp;since=') == 6, (
        "of each span all, and those that failed"
    )
    rows = f'href="/deliveries/{delivery["id"]}/attempts/'
    for query, count in (("", 2), (f"?endpoint_id={made.id}&since=1h&outcome=not_told", 1), ("?error=timeout", 0)):
        page = (await session.get(f"/attempts{query}")).text
        assert (page.count(rows), "<b>" in page) == (count, False), query
    for query, sentence in (("outcome=lost", "outcome: `lost` is unknown"), ("status=1", "`status` is no filter")):
        answer = await session.get(f"/attempts?{query}")
        assert (answer.status, sentence in answer.said) == (422, True)
