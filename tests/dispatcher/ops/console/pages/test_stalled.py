"""A stalled fax is marked wherever it is shown, until it ends."""

from browser_sessions import BrowserSession
from dispatchers import DispatcherHarness, an_event

from shared.domain import EventType


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
