"""A ledger in which every page of the console has something to show, and what its pages are called."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from browser_sessions import BrowserSession
from dead_letters import park_event, quarantine_callback
from dispatchers import STORE, DispatcherHarness, an_event
from seeded_accounts import seed_accounts, seed_mail
from seeded_ledger import seed_ledger

from dispatcher.alerts.kinds import Kind
from dispatcher.alerts.matters import raise_matter, resolve_matter
from dispatcher.ops.simulator.documents import sample_pdf
from dispatcher.policy.endpoint import FaxMatch
from shared.domain import EventType, Failure, utc_now
from shared.media import MediaStore

UNBROKEN = "".join(f"{number:x}" for number in range(60))
"""A word that is longer than a phone is wide."""
RECEIVED = f"received-{UNBROKEN}"


async def fill_ledger(harness: DispatcherHarness, media: Path) -> dict[str, str]:
    """Fill the stores before a dispatcher runs; return the names of what is in them."""
    fax_id = await seed_ledger(harness, media)
    await seed_accounts(harness.pool, days_ago=2)  # a dispatcher without a list counts the last two days anew
    yesterday = (utc_now() - timedelta(days=1)).date()
    await seed_mail(harness.pool, yesterday, "ops@example.com", "failed", 3, "the relay refused: 451 try again later")
    document = await MediaStore(media.as_uri()).put(sample_pdf("a referral", pages=2), "application/pdf")
    failure = Failure(type="lineError", code="42", message="No answer\nafter <b>three</b> calls", permanent=False)
    at = utc_now() - timedelta(minutes=5)
    await harness.take(
        an_event(
            1_000, EventType.RECEIVED, fax_id=RECEIVED, media=document, received_at=at, from_number="+15550139999",
            to_number="+15550107700", pages=2, job_id=UNBROKEN, fields={"tags": {"patient": UNBROKEN}},
        ),
        an_event(1_001, EventType.FAILED, failure=failure, received_at=at),
        an_event(1_001, EventType.DELIVERED, received_at=at + timedelta(seconds=1)),
        an_event(1_002, EventType.SENDING, received_at=at - timedelta(hours=7)),
        an_event(1_002, EventType.STALLED, received_at=at, fields={"after_seconds": 21_600.0, "state": "fax.sending"}),
    )  # fmt: skip
    await park_event(harness, b'{"unreadable": "<script>"}')
    callback = await quarantine_callback(harness, media, b'{"data": {"words": "' + 200 * b"unbroken" + b'"}}')
    await _alerts(harness)
    names = await _endpoints(harness)
    pool = harness.pool
    retried = await pool.fetchrow("SELECT id, attempts FROM deliveries WHERE state = 'retrying' ORDER BY attempts DESC")
    busy = await pool.fetchval("SELECT id FROM endpoints WHERE url LIKE '%billing%'")
    told = await pool.fetchval("SELECT id FROM deliveries WHERE state = 'told' AND endpoint_id = $1 LIMIT 1", busy)
    return {
        **names,
        "callback": callback,
        "fax": f"phaxio/{fax_id}",
        "fax_id": fax_id,
        "received": f"phaxio/{RECEIVED}",
        "endpoint": str(busy),
        "delivery": str(retried["id"]),
        "told": str(told),
        "letter": str(await pool.fetchval("SELECT id FROM deliveries WHERE reason = 'host_not_found' LIMIT 1")),
        "other_letter": str(await pool.fetchval("SELECT id FROM deliveries WHERE reason = 'tls' LIMIT 1")),
    }


async def _endpoints(harness: DispatcherHarness) -> dict[str, str]:
    url = f"https://erp.example.com/hooks/{UNBROKEN}?tenant={UNBROKEN}"
    paused = await harness.endpoint(
        url=url, paused=True, direction="sent", types=("fax.delivered", "fax.failed"), headers=(("X-Tenant", UNBROKEN),),
        description=f"Ledger of invoices {UNBROKEN}"[:80],
    )  # fmt: skip
    gone = await harness.endpoint(url="https://old.example.com/fax", enabled=False)
    removed = await harness.endpoint(url="https://former.example.com/fax")
    await harness.endpoint(
        url="https://one.example.com/fax", scope="fax", match=FaxMatch(job_id=UNBROKEN), direction="sent"
    )
    await harness.take(an_event(1_010, received_at=utc_now()))
    await STORE.remove(harness.pool, removed.id)
    return {"paused": str(paused.id), "disabled": str(gone.id), "removed": str(removed.id)}


async def _alerts(harness: DispatcherHarness) -> None:
    await raise_matter(harness.pool, Kind.SILENCE, "telnyx", f"telnyx: no fax for 5 h, {UNBROKEN}")
    await raise_matter(harness.pool, Kind.ENDPOINT_FAILING, "several", "57 endpoints have failed for an hour", count=57)
    await raise_matter(harness.pool, Kind.GAP_REPAIRED, "sinch", "3 found", count=3)
    await resolve_matter(harness.pool, Kind.GAP_REPAIRED, "sinch")


async def use_console(session: BrowserSession, names: Mapping[str, str]) -> dict[str, str]:
    """Do at a running console what leaves a job, a token and lines in the audit; return the names of these."""
    await session.log_in(name="Ada")
    form = {"do": "discard", "id": names["other_letter"], "reason": f"the customer left {UNBROKEN}"}
    begun = await session.post("/dead/begin", form)
    assert begun.status == 303, begun.text
    made = await session.post("/tokens", {"name": "records", "right": "documents", "expires": "90"})
    assert made.status == 303, made.text
    changed = await session.post(f"/endpoints/{names['endpoint']}/paused", {"paused": "on"})
    assert changed.status == 303, changed.text
    await session.post(f"/endpoints/{names['endpoint']}/paused", {"paused": ""})
    return {"job": begun.location.rpartition("/")[2]}
