"""The links of the console's lists lead to files of just what the list was narrowed to."""

import csv
import io
import re
from datetime import UTC, datetime
from html import unescape

import msgspec
import pytest
from browser_sessions import BrowserSession
from dead_letters import add_dead_deliveries
from dispatchers import DispatcherHarness, an_event
from seeded_accounts import seed_accounts

from shared.domain import EventType

LINK = re.compile(r'href="(/exports/[^"]+)" download>(CSV|NDJSON)<')


@pytest.fixture
async def lists(session: BrowserSession, harness: DispatcherHarness) -> dict[str, tuple[str, int]]:
    """A list of the console, narrowed, for each export; and how many rows of it match (there are more without filter)."""
    one, two = (
        await harness.endpoint(),
        await harness.endpoint(scope="number", match="+15550100001", direction="received"),
    )
    await add_dead_deliveries(harness, [one, two], 6, causes=("timeout", "tls", "http_503"))
    now = datetime.now(UTC)
    await harness.take(
        *(an_event(100 + number, EventType.FAILED, received_at=now, job_id="a&b=c") for number in range(3))
    )
    await seed_accounts(harness.pool, days_ago=2)
    await session.log_in(name="Ada")
    await session.post(f"/endpoints/{one.id}/paused", {"paused": "on"})
    return {
        "faxes": ("/faxes?failed=true&job_id=a%26b%3Dc", 3),
        "deliveries": (f"/endpoints/{one.id}/deliveries?state=dead", 3),
        "attempts": (f"/attempts?endpoint_id={two.id}&error=tls", 1),
        "dead-letters": ("/dead/list?cause=tls", 2),
        "endpoints": ("/endpoints?scope=number", 1),
        "accounts": ("/accounts?provider=telnyx", 3),
        "audit": ("/audit?what=endpoint.paused", 1),
    }


async def test_each_list_links_to_files_of_what_it_was_narrowed_to(
    session: BrowserSession, lists: dict[str, tuple[str, int]]
) -> None:
    for name, (path, count) in lists.items():
        links = {kind: unescape(link) for link, kind in LINK.findall((await session.get(path)).text)}
        assert sorted(links) == ["CSV", "NDJSON"], path
        assert all(link.startswith(f"/exports/{name}?") for link in links.values()), links
        answer = await session.get(links["NDJSON"])
        *rows, end = map(msgspec.json.decode, answer.text.splitlines())
        assert (answer.status, len(rows), end["rows"]) == (200, count, count), path
        assert answer.headers["Content-Disposition"].startswith("attachment"), "a browser saves it"
        _, *cells, last = csv.reader(io.StringIO((await session.get(links["CSV"])).text, newline=""))
        assert (len(cells), last[1]) == (count, str(count)), path
        everything = await session.get(f"/exports/{name}?format=ndjson")
        assert len(everything.text.splitlines()) > count + 1, f"the filter narrows {name}"
