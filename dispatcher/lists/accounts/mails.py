"""Mails with the account of yesterday: each day at one time, to each address once, by one process at a time.

| killed | then |
|---|---|
| before a mail is planned | it is planned at the next look, up to a day late |
| while it is sent, or before that is recorded | it is due again after `CLAIM_SECONDS`, with the same Message-ID |

While an account is not settled, because a list could not be read yet, its mail waits for at most `MOST_PATIENCE`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from typing import Any, Final

from dispatcher.alerts.messages import CLAIM_SECONDS
from dispatcher.alerts.timing import wait_seconds
from dispatcher.alerts.transport import SEND_SECONDS
from dispatcher.alerts.words import story_mail
from dispatcher.channels.mail.address import Mailbox, Relay, address_of
from dispatcher.channels.mail.channel import MailChannel
from dispatcher.channels.outcome import Told
from dispatcher.configuration.accounts import AccountMailing
from dispatcher.lists.accounts import ledger
from dispatcher.lists.accounts.letter import is_settled, letter_of
from dispatcher.metrics import Metrics
from dispatcher.settings import DispatcherSettings
from shared.ids import uuid7
from shared.log import get_logger

MOST_PATIENCE: Final = timedelta(hours=1)
MOST_NAMED: Final = 20
"""Missing faxes of a provider by their ids."""

KEPT_DAYS: Final = 90

PLAN: Final = """
INSERT INTO account_mails (id, day, channel_key)
SELECT asked.id, ((now() AT TIME ZONE 'UTC') - $1::interval)::date - 1, asked.channel_key
FROM unnest($2::uuid[], $3::text[]) AS asked (id, channel_key)
ON CONFLICT ON CONSTRAINT account_mails_once DO NOTHING
"""
"""By the ledger's clock: one for all processes. From midnight until the time of the mail the day before yesterday is
the latest whose mail is due."""

DUE: Final = """
SELECT day, min(created_at) AS planned_at, now() AS now FROM account_mails
WHERE state = 'pending' AND due_at <= now() AND channel_key = ANY($1::text[]) GROUP BY day ORDER BY day
"""
CLAIM: Final = """
UPDATE account_mails SET attempts = attempts + 1, due_at = now() + make_interval(secs => $3)
WHERE day = $1 AND channel_key = ANY($2::text[]) AND state = 'pending' AND due_at <= now()
RETURNING id, channel_key, attempts
"""
SETTLE: Final = """
UPDATE account_mails SET state = $3, settled_at = CASE WHEN $3 = 'pending' THEN NULL ELSE now() END,
       due_at = now() + make_interval(secs => $4), error = $5
WHERE id = $1 AND attempts = $2 AND state = 'pending'
"""
PRUNE: Final = "DELETE FROM account_mails WHERE created_at < now() - make_interval(days => $1)"


@asynccontextmanager
async def open_account_mailer(settings: DispatcherSettings, metrics: Metrics) -> AsyncIterator["AccountMailer | None"]:
    """Yield what mails the daily account; None if it was not asked for."""
    mailing, mail = settings.account_mailing(), settings.mail()
    if not mailing.channels or mail is None:
        yield None
        return
    mailer = AccountMailer(mailing, mail, metrics, settings.console_url)
    try:
        yield mailer
    finally:
        await mailer.close()


class AccountMailer:
    """Mails the daily account. Only the process that holds `Lock.KEEP_ACCOUNTS` looks."""

    def __init__(
        self, mailing: AccountMailing, mail: tuple[Relay, Mailbox], metrics: Metrics, console_url: str | None
    ) -> None:
        self._channels = {channel.key: channel for channel in mailing.channels}
        self._at = timedelta(hours=mailing.at.hour, minutes=mailing.at.minute)
        self._mail_from = mail[1]
        self._mails = MailChannel(*mail)
        self._metrics = metrics
        self._console_url = None if console_url is None else console_url.rstrip("/")
        self._log = get_logger()

    async def close(self) -> None:
        """Wait until the relay has answered each QUIT."""
        await self._mails.close()

    async def look(self, connection: Any) -> None:
        """Plan the mails of this day if their time has come, and send what is due."""
        keys = list(self._channels)
        await connection.execute(PLAN, self._at, [uuid7() for _ in keys], keys)
        for row in await connection.fetch(DUE, keys):
            await self._send_day(connection, row["day"], row["planned_at"], row["now"])
        await connection.execute(PRUNE, KEPT_DAYS)

    async def _send_day(self, connection: Any, day: date, planned_at: datetime, now: datetime) -> None:
        accounts = await ledger.read_day(connection, day, now)
        if not is_settled(accounts) and now - planned_at < MOST_PATIENCE:
            return
        missing = {
            each.provider: await ledger.missing_faxes(connection, each.provider, day, MOST_NAMED)
            for each in accounts
            if each.missing
        }
        story = letter_of(day, accounts, missing, self._console_url)
        claimed = await connection.fetch(CLAIM, day, list(self._channels), CLAIM_SECONDS)
        sending = []
        for row in claimed:
            url = self._channels[row["channel_key"]].url
            message = story_mail(story, row["id"], address_of(url), self._mail_from, now)
            sending.append(asyncio.create_task(self._mails.send(url, message, SEND_SECONDS)))
        for row, task in zip(claimed, sending, strict=True):
            await self._settle(connection, day, row, await task)

    async def _settle(self, connection: Any, day: date, row: Any, outcome: Any) -> None:
        if isinstance(outcome, Told):
            await connection.execute(SETTLE, row["id"], row["attempts"], "sent", 0.0, None)
            self._metrics.count_alert_message("sent")
            self._log.info("account.mailed", day=day.isoformat())
            return
        wait = wait_seconds(row["attempts"])
        state = "failed" if wait is None else "pending"
        await connection.execute(SETTLE, row["id"], row["attempts"], state, wait or 0.0, outcome.error)
        self._metrics.count_alert_message("failed")
        self._log.warning(
            "account.unmailed",
            day=day.isoformat(),
            attempt=row["attempts"],
            code=outcome.error,
            is_given_up=wait is None,
        )
