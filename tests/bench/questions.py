"""`make bench-questions`: an operator's questions in a ledger of a million faxes, how long each answer takes, over HTTP.

It fails where an answer is no success or its median is above the goal, and names each such question.

    python tests/bench/questions.py [--faxes N] [--rounds N]
        [--amqp-url URL --database-url URL]   # instead of private ones: queues are EMPTIED, the ledger is OVERWRITTEN

Everything is on loopback, with private stores in a temporary folder. A million faxes of 30 days take some minutes to
make: of 2,000 numbers, to ten endpoints; one in twenty failed, one in a thousand has a webhook that died.
"""

import argparse
import http
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from uuid import UUID

sys.path.extend(str((Path(__file__).parent / folder).resolve()) for folder in (".", "../support", "../.."))

import aiohttp
import asyncpg
import uvloop
from dispatchers import SECRETS_KEY, STORE
from large_ledgers import add_faxes
from processes import running
from stack import Stores, private_stores
from stores import fresh_topology

from dispatcher.policy.endpoint import Endpoint
from shared.backoff import DEFAULT_BACKOFF, parse_backoff
from shared.broker import topology
from shared.ids import uuid7
from shared.sql.migrate import migrate

TOKEN = "ops-token"
GOAL_SECONDS = 0.3
URLS = tuple(f"http://127.0.0.1:9/{number}" for number in range(11))
"""Of the endpoints: the tenth is off, the eleventh is owed nothing."""

LATEST_ATTEMPT = "SELECT delivery_id FROM attempts ORDER BY started_at DESC LIMIT 1"


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def add_endpoints(pool: asyncpg.Pool) -> list[UUID]:
    """Add the endpoints; return their ids."""
    endpoints = [Endpoint(id=uuid7(), url=url, enabled=number != 9) for number, url in enumerate(URLS)]
    for endpoint in endpoints:
        await STORE.insert(pool, endpoint)
    return [endpoint.id for endpoint in endpoints]


async def fill(pool: asyncpg.Pool, faxes: int, endpoint_ids: Sequence[UUID]) -> None:
    """Fill the ledger with *faxes* and what was told of them to all endpoints but the last."""
    await pool.execute(
        "INSERT INTO audit (who, what, subject, details) SELECT 'operator', "
        "CASE n % 100 WHEN 0 THEN 'endpoint.changed' ELSE 'dead.replay' END, "
        "CASE n % 100 WHEN 0 THEN $1 ELSE n::text END, '{}' FROM generate_series(1, 100000) n",
        str(endpoint_ids[9]),
        timeout=60,
    )
    await add_faxes(pool, faxes, endpoint_ids[:10])


def ago(days: int) -> str:
    """Return when it was so many days before now."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 86_400 * days))


def questions(faxes: int, endpoint_ids: list[UUID], delivery_id: UUID) -> dict[str, tuple[str, str, Any]]:
    """Return the questions: method, path and body of each, by its words; *delivery_id*: of one that was attempted."""
    billing, off, idle = endpoint_ids[0], endpoint_ids[9], endpoint_ids[10]
    recover = f"/v1/endpoints/{billing}/recover"
    recent = faxes - faxes % 10  # to the first endpoint
    dead = faxes - faxes % 1000  # its webhook is
    resend = {"filter": {"provider": "phaxio", "fax_id": str(recent)}, "dry_run": True}
    return {
        "what failed yesterday, and why": ("GET", "/v1/faxes?failed=true&since=yesterday&until=today", None),
        "all of number …0001, this month": ("GET", "/v1/faxes?number=0001&since=30d", None),
        "all to one number, in another notation": ("GET", "/v1/faxes?number=%2B1%20(666)%20000-0001", None),
        "which failed with this reason": ("GET", "/v1/faxes?failure=lineError&since=7d", None),
        "whose webhooks lie dead": ("GET", "/v1/faxes?webhooks=failing", None),
        "what did billing get for fax X": ("GET", f"/v1/faxes/phaxio/{recent}", None),
        "the fax of job J": ("GET", f"/v1/faxes?job_id=job-{recent}", None),
        "resend it, previewed": ("POST", "/v1/deliveries/resend", resend),
        "what exactly did it get: the request as it was sent": (
            "GET",
            f"/v1/deliveries/{delivery_id}/attempts/1",
            None,
        ),
        "everything for endpoint E since a day, previewed": ("POST", recover, {"since": ago(1), "dry_run": True}),
        "the same since six days": ("POST", recover, {"since": ago(6), "dry_run": True}),
        "since a day, also what was told": ("POST", recover, {"since": ago(1), "told": True, "dry_run": True}),
        "since six days, also what was told": ("POST", recover, {"since": ago(6), "told": True, "dry_run": True}),
        "the deliveries of endpoint E": ("GET", f"/v1/deliveries?endpoint_id={billing}", None),
        "its attempts since an hour": ("GET", f"/v1/attempts?endpoint_id={billing}&since=1h", None),
        "those that failed, this month": (
            "GET",
            f"/v1/attempts?endpoint_id={billing}&outcome=not_told&since=30d",
            None,
        ),
        "which timed out yesterday": ("GET", "/v1/attempts?error=timeout&since=yesterday&until=today", None),
        "all attempts of number …0001": ("GET", "/v1/attempts?number=0001", None),
        "of a number with more faxes than are looked up": ("GET", "/v1/attempts?number=001", None),
        "all deliveries of number …0001": ("GET", "/v1/deliveries?number=0001", None),
        "all events of number …0001": ("GET", "/v1/events?number=0001", None),
        "all faxes of endpoint E": ("GET", f"/v1/faxes?endpoint_id={billing}", None),
        "attempts of a job of many faxes": ("GET", "/v1/attempts?job_id=batch", None),
        "deliveries of it": ("GET", "/v1/deliveries?job_id=batch", None),
        "events of it": ("GET", "/v1/events?job_id=batch", None),
        "all events for endpoint E": ("GET", f"/v1/events?endpoint_id={billing}", None),
        "those that failed last week": (
            "GET",
            f"/v1/events?endpoint_id={billing}&type=fax.failed&since=14d&until=7d",
            None,
        ),
        "events for an endpoint that is owed none": ("GET", f"/v1/events?endpoint_id={idle}", None),
        "its faxes": ("GET", f"/v1/faxes?endpoint_id={idle}", None),
        "its deliveries": ("GET", f"/v1/deliveries?endpoint_id={idle}", None),
        "its attempts": ("GET", f"/v1/attempts?endpoint_id={idle}", None),
        "events of a provider that has none": ("GET", "/v1/events?provider=sinch", None),
        "all deliveries that died of a timeout": ("GET", "/v1/deliveries?state=dead&reason=timeout", None),
        "attempts of a type that never came": ("GET", "/v1/attempts?type=fax.received", None),
        "its success rates": ("GET", f"/v1/endpoints/{billing}/rates", None),
        "who switched it off": ("GET", f"/v1/audit?subject={off}", None),
        "dead letters by cause": ("GET", "/v1/dead-letters/groups", None),
        "those of job J": ("GET", f"/v1/dead-letters?job_id=job-{dead}", None),
        "of a job of many faxes": ("GET", "/v1/dead-letters?job_id=batch", None),
        "of number …0001": ("GET", "/v1/dead-letters?number=0001", None),
        "of endpoint E": ("GET", f"/v1/dead-letters?endpoint_id={billing}", None),
        "replay the dead letters of fax X, previewed": (
            "POST",
            "/v1/dead-letters/replay",
            {"filter": {"fax_id": str(dead)}, "dry_run": True},
        ),
        "pause": ("POST", f"/v1/endpoints/{billing}/pause", {}),
        "resume": ("POST", f"/v1/endpoints/{billing}/resume", {}),
    }


async def measure(stores: Stores, faxes: int, rounds: int) -> list[str]:
    """Fill a ledger and ask; print a line for each question; return those whose answer is missed, with the reason."""
    await fresh_topology(stores.amqp_url, topology(parse_backoff(DEFAULT_BACKOFF)))
    await migrate(stores.database_url)
    async with asyncpg.create_pool(stores.database_url, min_size=1, max_size=2) as pool:
        began = time.monotonic()
        endpoint_ids = await add_endpoints(pool)
        await fill(pool, faxes, endpoint_ids)
        # A ledger that grew for thirty days was vacuumed all the time; of this one it would begin while it is asked.
        await pool.execute("VACUUM", timeout=300)
        delivery_id = await pool.fetchval(LATEST_ATTEMPT)
        say(f"{faxes:,} faxes in {time.monotonic() - began:.0f} s")
    return await ask(stores, questions(faxes, endpoint_ids, delivery_id), rounds)


def why_missed(status: int, median_seconds: float) -> str | None:
    """Return why an answer is not what an operator wants; None if it is.

    >>> why_missed(200, 0.3), why_missed(200, 0.31), why_missed(422, 0.01)
    (None, '310 ms, above the goal of 300 ms', 'answered 422')
    """
    if status != http.HTTPStatus.OK:
        return f"answered {status}"
    if median_seconds > GOAL_SECONDS:
        return f"{median_seconds * 1000:.0f} ms, above the goal of {GOAL_SECONDS * 1000:.0f} ms"
    return None


async def ask(stores: Stores, asked: dict[str, tuple[str, str, Any]], rounds: int) -> list[str]:
    """Ask over HTTP in a filled ledger; print a line for each question; return the missed ones, as `measure` does."""
    with tempfile.TemporaryDirectory(prefix="faxhook-questions-") as media:
        back = {"AMQP_URL": stores.amqp_url, "DATABASE_URL": stores.database_url, "MEDIA_URL": Path(media).as_uri()}
        back |= {"SECRETS_KEY": SECRETS_KEY, "OPS_PORT": "0", "OPS_TOKEN": TOKEN, "RETENTION_DAYS": "90"}
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with running("dispatcher", back) as dispatcher, aiohttp.ClientSession(headers=headers) as client:
            missed = []
            for words, (method, path, body) in asked.items():
                taken, shown, why = [], "", None
                for _ in range(rounds):
                    started = time.perf_counter()
                    async with client.request(method, dispatcher.url + path, json=body) as response:
                        answer = await response.json()
                        taken.append(time.perf_counter() - started)
                        found = f"{len(answer['items'])} of a page" if "items" in answer else answer.get("matched", "")
                        shown = f"{response.status} {found}"
                    why = why or why_missed(response.status, 0.0)
                median = statistics.median(taken)
                why = why or why_missed(http.HTTPStatus.OK, median)
                missed += [] if why is None else [f"{words}: {why}"]
                mark = "" if why is None else "   missed"
                span = f"({min(taken) * 1000:.1f}-{max(taken) * 1000:.1f})"
                say(f"{median * 1000:8.1f} ms  {span}  {words}: {shown}{mark}")
    return missed


def main() -> int:
    """Return 0 if each answer came within the goal, else 1: the questions are named on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faxes", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--amqp-url")
    parser.add_argument("--database-url")
    asked = parser.parse_args()
    given = asked.amqp_url and asked.database_url
    with nullcontext(Stores(asked.amqp_url, asked.database_url)) if given else private_stores() as stores:
        missed = uvloop.run(measure(stores, asked.faxes, asked.rounds))
    for each in missed:
        sys.stderr.write(f"missed: {each}\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
