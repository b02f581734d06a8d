"""`faxhook deliveries list` finds deliveries by what people know of them, and names the option that is wrong."""

from typing import Any

import asyncpg
import msgspec
import pytest
from apis import faxhook
from dispatchers import an_event
from ledgers import endpoint, take

from dispatcher.policy.endpoint import Endpoint
from shared.domain import EventType


@pytest.fixture
async def billing(pool: asyncpg.Pool) -> Endpoint:
    """An endpoint that is owed three faxes: told the first, given up on the second."""
    made = await endpoint(pool, description="billing")
    for number in range(3):
        kind = EventType.FAILED if number == 2 else EventType.DELIVERED
        await take(pool, an_event(number, kind, job_id=f"job-{number}", to_number=f"+1555010000{number}"))
    change = "UPDATE deliveries SET state = $2, reason = $3, attempts = 1, settled_at = now() WHERE event_id LIKE $1"
    await pool.execute(change, "phaxio:0-%", "told", None)
    await pool.execute(change, "phaxio:1-%", "dead", "timeout")
    return made


async def found(environment: dict[str, str], *options: str) -> list[str]:
    code, said, complained = await faxhook(environment, "deliveries", "list", *options, "--json")
    assert code == 0, complained
    page: dict[str, Any] = msgspec.json.decode(said)
    return [each["event_id"].removeprefix("phaxio:")[0] for each in page["items"]]


async def test_deliveries_are_found_by_state_reason_number_job_type_and_time(
    environment: dict[str, str], billing: Endpoint
) -> None:
    for options, wanted in (
        ((), "210"),
        (("--state", "delivered"), "0"),
        (("--state", "told"), "0"),
        (("--state", "dead", "--reason", "timeout", "--endpoint", str(billing.id)), "1"),
        (("--number", "(555) 010-0002"), "2"),
        (("--job-id", "job-1"), "1"),
        (("--type", "fax.failed"), "2"),
        (("--event", f"phaxio:0-{EventType.DELIVERED}"), "0"),
        (("--since", "1h"), "210"),
        (("--until", "1h"), ""),
        (("--limit", "2"), "21"),
    ):
        assert "".join(await found(environment, *options)) == wanted, options
    _, said, _ = await faxhook({**environment, "COLUMNS": "200"}, "deliveries", "list", "--state", "dead")
    assert "dead (timeout)" in said
    assert "billing" in said
    _, said, _ = await faxhook(environment, "deliveries", "list", "--state", "skipped")
    assert said == "no delivery matches\n"


async def test_a_wrong_option_is_named_with_the_values_that_are_known(environment: dict[str, str]) -> None:
    for options, sentence in (
        (("--state", "lost"), "--state: "),
        (("--endpoint", "billing"), "--endpoint: "),
        (("--since", "soon"), "since"),
        (("--since", "today", "--until", "yesterday"), "until"),
        (("--number", "x"), "number"),
    ):
        code, _, complained = await faxhook(environment, "deliveries", "list", *options)
        assert (code, sentence in complained) == (65, True), complained
    code, _, complained = await faxhook(environment, "deliveries", "resend")
    assert (code, "say which: ids, --fax PROVIDER:FAX_ID" in complained) == (65, True), complained
