"""Yesterday's account is mailed to each address once: at its time, by one of several processes, over failures and kills."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from dispatchers import DispatcherHarness
from mailserver import ReceivedMail, Relay, relaying
from waiting import until

from dispatcher.channels.mail.address import Mailbox, parse_relay
from dispatcher.configuration.accounts import read_account_mailing
from dispatcher.lists.accounts.mails import AccountMailer
from dispatcher.metrics import Metrics
from shared.domain import utc_now
from shared.runtime.service import Stop
from shared.settings import Secret

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]

ACCOUNT = """
INSERT INTO accounts (provider, day, verdict, theirs, ours, repaired, missing, only_ours, under_way, told, drawn_up_at)
VALUES ('telnyx', (now() AT TIME ZONE 'UTC')::date - 1, $1, 7, 7 - $2, 1, $2, 0, 0, 7 - $2, now())
"""


@pytest.fixture
async def mails() -> AsyncIterator[Relay]:
    async with relaying() as relay:
        yield relay


@pytest.fixture
async def mailer(mails: Relay) -> AsyncIterator[AccountMailer]:
    made = mailer_of(mails)
    yield made
    await made.close()


def mailer_of(mails: Relay, *, at: str = "00:00", addresses: str = "ops,desk") -> AccountMailer:
    urls = [Secret(f"mailto:{each}@example.com") for each in addresses.split(",")]
    relay = parse_relay(f"smtp://127.0.0.1:{mails.port}"), Mailbox("fax@example.net")
    return AccountMailer(read_account_mailing(urls, at, has_relay=True), relay, Metrics(), "https://fax.example/")


async def look(pool: asyncpg.Pool, mailer: AccountMailer) -> None:
    async with pool.acquire() as connection:
        await mailer.look(connection)


def read(mail: ReceivedMail) -> tuple[str, str, str]:
    """Return Message-ID, subject and text of a mail."""
    text = mail.message.get_body(("plain",))
    assert text is not None
    return str(mail.message["Message-ID"]), str(mail.message["Subject"]), text.get_content()


async def test_each_address_is_told_once_and_a_day_later_again(
    pool: asyncpg.Pool, mails: Relay, mailer: AccountMailer
) -> None:
    await pool.execute(ACCOUNT, "complete", 0)
    await asyncio.gather(*(look(pool, mailer) for _ in range(3)))
    await look(pool, mailer)
    yesterday = (utc_now() - timedelta(days=1)).date()
    assert sorted(mail.recipients for mail in mails.mails) == [["desk@example.com"], ["ops@example.com"]]
    ids, subjects, texts = zip(*map(read, mails.mails), strict=True)
    assert len(set(ids)) == 2
    assert set(subjects) == {f"[faxhook] Faxes of {yesterday}: theirs = ours, nothing is missing"}
    assert "theirs 7, ours 7, 1 of them repaired by the list; delivered 7, owed 0, dead 0" in texts[0]
    await pool.execute("UPDATE account_mails SET day = day - 1")
    await look(pool, mailer)
    assert len(mails.mails) == 4


async def test_what_is_missing_is_named(pool: asyncpg.Pool, mails: Relay, mailer: AccountMailer) -> None:
    await pool.execute(ACCOUNT, "missing", 2)
    await pool.execute(
        "INSERT INTO listed_faxes (provider, fax_id, day, type, event_id) SELECT 'telnyx', id, (now() AT TIME ZONE"
        " 'UTC')::date - 1, 'fax.delivered', 'e' || id FROM unnest(ARRAY['lost-1', 'lost-2']) AS id"
    )
    await look(pool, mailer)
    _, subject, text = read(mails.mails[0])
    assert subject.endswith("2 faxes are missing")
    assert "Missing of telnyx: lost-1, lost-2" in " ".join(text.split())
    assert "faxhook backfill telnyx" in " ".join(text.split())


async def test_before_its_time_the_day_before_yesterday_is_the_latest(pool: asyncpg.Pool, mails: Relay) -> None:
    at = await pool.fetchval("SELECT to_char((now() AT TIME ZONE 'UTC') + interval '2 minutes', 'HH24:MI')")
    if at < "00:02":
        pytest.skip("two minutes around midnight")
    later = mailer_of(mails, at=at)
    await look(pool, later)
    await later.close()
    days = await pool.fetch("SELECT DISTINCT (now() AT TIME ZONE 'UTC')::date - day AS ago FROM account_mails")
    assert [row["ago"] for row in days] == [2]


async def test_an_account_that_is_not_settled_is_waited_for_and_told_as_it_is_after_an_hour(
    pool: asyncpg.Pool, mails: Relay, mailer: AccountMailer
) -> None:
    await pool.execute(ACCOUNT, "partly_read", 0)
    await look(pool, mailer)
    assert mails.mails == []
    await pool.execute("UPDATE account_mails SET created_at = now() - interval '61 minutes'")
    await look(pool, mailer)
    assert [read(mail)[1].rpartition(": ")[2] for mail in mails.mails] == ["whether faxes are missing is not known"] * 2


async def test_a_relay_that_refuses_is_tried_again_with_the_same_id_until_it_is_given_up(
    pool: asyncpg.Pool, mails: Relay
) -> None:
    one = mailer_of(mails, addresses="ops")
    await pool.execute(ACCOUNT, "complete", 0)
    mails.on_data = lambda _relay, _server: "451 later"
    await look(pool, one)
    row = await pool.fetchrow("SELECT state, attempts, due_at > now() AS is_later FROM account_mails")
    assert tuple(row) == ("pending", 1, True)
    mails.on_data = None
    await look(pool, one)  # not due yet
    await pool.execute("UPDATE account_mails SET due_at = now()")
    await look(pool, one)
    assert await pool.fetchval("SELECT state FROM account_mails") == "sent"
    await pool.execute("UPDATE account_mails SET state = 'pending', attempts = 60, due_at = now()")
    mails.on_data = lambda _relay, _server: "550 no"
    await look(pool, one)
    await one.close()
    assert await pool.fetchval("SELECT state FROM account_mails") == "failed"


async def test_a_dispatcher_that_was_asked_to_mails_it_once_beside_another_one(
    harness: DispatcherHarness, mails: Relay, unused_tcp_port_factory: Any
) -> None:
    asked = {
        "ACCOUNT_MAIL": "mailto:ops@example.com",
        "ACCOUNT_MAIL_AT": "00:00",
        "SMTP_URL": f"smtp://127.0.0.1:{mails.port}",
        "MAIL_FROM": "fax@example.net",
        "RECONCILE_EVERY": "1s",
    }
    await harness.pool.execute(
        "INSERT INTO account_mails (id, day, channel_key, created_at) SELECT gen_random_uuid(), (now() AT TIME ZONE"
        " 'UTC')::date - 1, left(encode(sha256('mailto:ops@example.com'), 'hex'), 32), now() - interval '2 hours'"
    )
    async with (
        harness.dispatching(unused_tcp_port_factory(), **asked),
        harness.dispatching(unused_tcp_port_factory(), **asked),
    ):
        await until(lambda: harness.pool.fetchval("SELECT state = 'sent' FROM account_mails"), "it is sent")
    (mail,) = mails.mails
    assert read(mail)[1].endswith("there is no account, because no fax came and no list was read")
