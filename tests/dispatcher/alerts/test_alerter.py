"""What is raised reaches the operator once by each channel: from one of several dispatchers, over kills and failures."""

import asyncio
import json
from typing import Any

import asyncpg
from ledgers import ADVISORY_LOCKS
from mailserver import Relay
from receiver import Receiver
from standardwebhooks import Webhook
from waiting import until

from dispatcher.alerts.kinds import Kind
from dispatcher.alerts.matters import raise_matter, resolve_matter
from dispatcher.ledger.locks import Lock
from shared.errors import FaxhookError

SECRET = "whsec_" + "QUJD" * 8


async def states(pool: asyncpg.Pool) -> list[str]:
    return [row["state"] for row in await pool.fetch("SELECT state FROM alert_messages ORDER BY id")]


async def all_sent(pool: asyncpg.Pool, count: int) -> None:
    async def sent() -> bool:
        return (await states(pool)).count("sent") == count

    await until(sent, f"{count} messages sent")


async def rounds(pool: asyncpg.Pool, count: int = 3) -> None:
    """Wait until an alerter has taken and given back its lock some times: what was due has been sent by then."""
    for held in (True, False) * count:

        async def is_so(held: bool = held) -> bool:
            found = await pool.fetchval(
                f"SELECT count(*) FROM {ADVISORY_LOCKS} WHERE objid = $1",  # noqa: S608
                int(Lock.ALERT) & 0xFFFFFFFF,
            )
            return bool(found) == held

        await until(is_so, "a round of the alerter")


async def an_hour_later(pool: asyncpg.Pool) -> None:
    await pool.execute("UPDATE alerts SET told_at = told_at - interval '1 hour'")


async def test_what_is_raised_is_sent_once_by_each_channel_and_its_history_says_so(
    pool: asyncpg.Pool, receiver: Receiver, mails: Relay, alerting: Any
) -> None:
    await raise_matter(pool, Kind.ENDPOINT_FAILING, "one", "crm.example.com: failing")
    async with alerting() as metrics:
        await all_sent(pool, 2)
        await until(lambda: metrics.open_alerts == {"endpoint_failing": 1}, "the metric")
        await rounds(pool)
    (webhook,), (mail,) = receiver.received, mails.mails
    said = Webhook(SECRET).verify(webhook.body, webhook.headers)
    assert (said["type"], said["data"]["what"]) == ("alert.raised", "crm.example.com: failing")
    assert mail.recipients == ["ops@example.com"]
    rows = await pool.fetch("SELECT what, channel FROM alert_history ORDER BY id")
    assert {tuple(row) for row in rows} == {
        ("raised", None),
        ("sent", f"{receiver.base_url}/…"),
        ("sent", "mailto:ops@example.com"),
    }


async def test_two_dispatchers_send_nothing_twice(
    pool: asyncpg.Pool, receiver: Receiver, mails: Relay, alerting: Any
) -> None:
    async with alerting(), alerting(), alerting():
        for number in range(8):
            await raise_matter(pool, Kind.SILENCE, f"phaxio received +{number}", "no fax")
        await all_sent(pool, 16)
    assert len(receiver.received) == len({each.headers["webhook-id"] for each in receiver.received}) == 8
    assert len(mails.mails) == 8


async def test_a_dispatcher_killed_while_it_sends_loses_nothing_and_the_id_stays(
    pool: asyncpg.Pool, receiver: Receiver, alerting: Any
) -> None:
    hanging = asyncio.Event()

    async def hang(_received: Any) -> int:
        await hanging.wait()
        return 200

    receiver.answer = hang
    await raise_matter(pool, Kind.ENDPOINT_GONE, "one", "gone")
    urls = [f"{receiver.base_url}/alerts"]
    async with alerting(urls=urls):
        await receiver.got(1)
    assert await states(pool) == ["pending"]
    receiver.answer = lambda _received: 200
    async with alerting(urls=urls):
        await rounds(pool)
        assert len(receiver.received) == 1  # its claim is not over
        await pool.execute("UPDATE alert_messages SET due_at = now()")
        await all_sent(pool, 1)
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    hanging.set()


async def test_a_channel_that_fails_is_tried_again_and_the_other_one_is_not(
    pool: asyncpg.Pool, receiver: Receiver, mails: Relay, alerting: Any
) -> None:
    receiver.answer = lambda _received: 503
    await raise_matter(pool, Kind.ENDPOINT_GONE, "one", "gone")
    async with alerting():
        await receiver.got(1)
        await mails.got(1)
        await until(lambda: pool.fetchval("SELECT count(*) = 1 FROM alert_history WHERE what = 'failed'"), "noted")
        wait = await pool.fetchval(
            "SELECT extract(epoch FROM due_at - now()) FROM alert_messages WHERE attempts = 1 AND state = 'pending'"
        )
        assert 20 < wait <= 30
        receiver.answer = lambda _received: 200
        await pool.execute("UPDATE alert_messages SET due_at = now() WHERE state = 'pending'")
        await all_sent(pool, 2)
    assert len(receiver.received) == 2
    assert len(mails.mails) == 1
    assert "http_503" in await pool.fetchval("SELECT note FROM alert_history WHERE what = 'failed'")


async def test_a_matter_that_comes_and_goes_is_told_once_an_hour(
    pool: asyncpg.Pool, receiver: Receiver, alerting: Any
) -> None:
    async with alerting(urls=[f"{receiver.base_url}/alerts"]):
        for number in range(4):
            await raise_matter(pool, Kind.ENDPOINT_GONE, "one", f"gone {number}")
            await rounds(pool, 1)
            await resolve_matter(pool, Kind.ENDPOINT_GONE, "one")
            await rounds(pool, 1)
        await rounds(pool)
        assert [json.loads(each.body)["type"] for each in receiver.received] == ["alert.raised"]
        await raise_matter(pool, Kind.ENDPOINT_GONE, "one", "gone again")
        await an_hour_later(pool)
        await receiver.got(2)
        await resolve_matter(pool, Kind.ENDPOINT_GONE, "one")
        await all_sent(pool, 2)
        await an_hour_later(pool)
        await receiver.got(3)
    types = [json.loads(each.body)["type"] for each in receiver.received]
    assert types == ["alert.raised", "alert.raised", "alert.resolved"]


async def test_a_channel_that_was_down_for_hours_gets_the_latest_message_only(
    pool: asyncpg.Pool, receiver: Receiver, alerting: Any
) -> None:
    receiver.answer = lambda _received: 500
    async with alerting(urls=[f"{receiver.base_url}/alerts"]):
        for number in range(1, 4):
            await raise_matter(pool, Kind.GAP_REPAIRED, "telnyx", f"{number} found")
            await receiver.got(number)
            await until(
                lambda: pool.fetchval("SELECT attempts = 1 FROM alert_messages ORDER BY id DESC LIMIT 1"), "tried"
            )
            await an_hour_later(pool)
        receiver.answer = lambda _received: 200
        await pool.execute("UPDATE alert_messages SET due_at = now() WHERE state = 'pending'")
        await all_sent(pool, 1)
        await rounds(pool)
    assert len(receiver.received) == 4
    assert json.loads(receiver.received[-1].body)["data"]["what"] == "3 found"
    assert await states(pool) == ["failed", "failed", "sent"]


class Broken:
    """A check whose code, or whose store, fails."""

    every_seconds = 0.0

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.looks = 0

    async def look(self, _connection: Any) -> None:
        self.looks += 1
        raise self.error


async def test_a_check_that_fails_keeps_no_other_check_and_no_message_back(
    pool: asyncpg.Pool, receiver: Receiver, alerting: Any
) -> None:
    checks = [Broken(RuntimeError("bug")), Broken(FaxhookError("the broker is away"))]
    await raise_matter(pool, Kind.ENDPOINT_GONE, "one", "gone")
    async with alerting(checks=checks, urls=[f"{receiver.base_url}/alerts"]):
        await all_sent(pool, 1)
    assert all(check.looks for check in checks)


async def test_an_inner_address_is_not_posted_to_unless_it_is_allowed(
    pool: asyncpg.Pool, receiver: Receiver, alerting: Any
) -> None:
    """The fixture allows 127.0.0.0/8 and nothing else."""
    await raise_matter(pool, Kind.ENDPOINT_GONE, "one", "gone")
    port = receiver.base_url.rpartition(":")[2]
    async with alerting(urls=[f"http://[::1]:{port}/alerts"]):
        await until(lambda: pool.fetchval("SELECT count(*) > 0 FROM alert_history WHERE what = 'failed'"), "refused")
    assert "egress_refused" in await pool.fetchval("SELECT note FROM alert_history WHERE what = 'failed'")
    assert receiver.received == []
