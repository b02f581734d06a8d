"""`faxhook events list` finds events by what people know of them, and names the option that is wrong."""

from typing import Any

import asyncpg
import msgspec
import pytest
from apis import faxhook
from dispatchers import an_event
from ledgers import endpoint, take

from dispatcher.policy.endpoint import Endpoint, FaxMatch
from shared.domain import EventType, Provider


@pytest.fixture
async def billing(pool: asyncpg.Pool) -> Endpoint:
    """An endpoint of the job of fax 1; a general one is owed fax 0; fax 2 is Sinch's, and no one is owed fax 3."""
    await endpoint(pool, direction="sent")
    made = await endpoint(pool, description="billing", scope="fax", match=FaxMatch(job_id="job-1"), inflight=True)
    await take(pool, an_event(0, job_id="job-0", to_number="+15550100000"))
    await take(pool, an_event(1, EventType.FAILED, job_id="job-1", to_number="+15550100001"))
    await take(pool, an_event(2, provider=Provider.SINCH, to_number="+15550100002"))
    await take(pool, an_event(3, EventType.RECEIVED, to_number="+15550100003"))
    return made


async def test_events_are_found_by_provider_type_fax_endpoint_number_job_and_time(
    environment: dict[str, str], billing: Endpoint
) -> None:
    for options, wanted in (
        ((), "3210"),
        (("--provider", "sinch"), "2"),
        (("--type", "fax.failed"), "1"),
        (("--fax", "phaxio:0"), "0"),
        (("--fax", "sinch:0"), ""),
        (("--provider", "phaxio", "--fax", "phaxio:0"), "0"),
        (("--endpoint", str(billing.id)), "1"),
        (("--number", "(555) 010-0002"), "2"),
        (("--job-id", "job-1"), "1"),
        (("--job-id", "job-1", "--number", "0000"), ""),
        (("--since", "1h"), "3210"),
        (("--until", "1h"), ""),
        (("--limit", "2"), "32"),
    ):
        code, said, complained = await faxhook(environment, "events", "list", *options, "--json")
        assert code == 0, complained
        page: dict[str, Any] = msgspec.json.decode(said)
        assert "".join(each["fax_id"] for each in page["items"]) == wanted, options
    wide = {**environment, "COLUMNS": "200"}
    _, said, _ = await faxhook(wide, "events", "list", "--fax", "phaxio:3")
    assert said.splitlines()[1].split()[3:6] == ["fax.received", "phaxio:3", "0"]
    _, said, _ = await faxhook(environment, "events", "list", "--until", "1h")
    assert said == "no event matches\n"


async def test_what_is_particular_about_an_event_is_said(pool: asyncpg.Pool, environment: dict[str, str]) -> None:
    code, said, _ = await faxhook(environment, "events", "list")
    assert (code, said) == (0, "no event yet\n")
    await take(pool, an_event(1), an_event(1, EventType.SENDING))
    await pool.execute("UPDATE events SET body = NULL WHERE type = 'fax.delivered'")
    _, said, _ = await faxhook({**environment, "COLUMNS": "250"}, "events", "list")
    assert said.count("overtaken: a later stage of the fax is known") == 1
    assert said.count("its content is pruned") == 1


async def test_a_wrong_option_is_named_with_the_values_that_are_known(environment: dict[str, str]) -> None:
    for options, sentence in (
        (("--provider", "fox"), "--provider: `fox` is unknown; known are phaxio"),
        (("--fax", "fox:1"), "--fax: `fox` is unknown"),
        (("--fax", "phaxio"), "--fax: "),
        (("--provider", "telnyx", "--fax", "phaxio:1"), "--provider telnyx and --fax phaxio:1 contradict each other"),
        (("--type", "fax.lost"), "--type: `fax.lost` is unknown"),
        (("--endpoint", "7"), "--endpoint: must be"),
        (("--since", "soon"), "since: `soon`"),
        (("--number", "seven"), "number: `seven`"),
    ):
        code, _, complained = await faxhook(environment, "events", "list", *options)
        assert (code, sentence in complained) == (65, True), complained
