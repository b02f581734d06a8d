"""The mails with the daily account as the console shows them: to whom, and what became of the latest."""

from datetime import date, datetime
from typing import Any, Final

import msgspec

from dispatcher.configuration.accounts import AccountMailing
from dispatcher.ledger.pool import Pool
from dispatcher.ops.dead.causes import cause_in_words

LATEST: Final = """
SELECT DISTINCT ON (channel_key) channel_key, day, state, attempts, due_at, error
FROM account_mails WHERE channel_key = ANY($1::text[]) ORDER BY channel_key, day DESC
"""
SENT: Final = """
SELECT DISTINCT ON (channel_key) channel_key, day, settled_at
FROM account_mails WHERE channel_key = ANY($1::text[]) AND state = 'sent' ORDER BY channel_key, day DESC
"""


class AccountMail(msgspec.Struct, frozen=True, kw_only=True):
    """An address of ACCOUNT_MAIL.

    Attributes:
        sentence: What became of the latest mail to it; empty if that was sent.
        is_bad: It could not be sent.
        sent_day, sent_at: Of the last one that was sent: the day that it is about, and when; None if none was.
    """

    address: str
    sentence: str
    is_bad: bool
    sent_day: date | None
    sent_at: datetime | None


async def mails_of(pool: Pool, mailing: AccountMailing) -> list[AccountMail]:
    """Return what became of the mails, in the order of ACCOUNT_MAIL."""
    keys = [channel.key for channel in mailing.channels]
    if not keys:
        return []
    latest = {row["channel_key"]: row for row in await pool.fetch(LATEST, keys)}
    sent = {row["channel_key"]: row for row in await pool.fetch(SENT, keys)}
    found = []
    for channel in mailing.channels:
        last, last_sent = latest.get(channel.key), sent.get(channel.key)
        sentence, is_bad = ("none was due yet", False) if last is None else _said_of(last)
        found.append(
            AccountMail(
                address=channel.shown.removeprefix("mailto:"),
                sentence=sentence,
                is_bad=is_bad,
                sent_day=None if last_sent is None else last_sent["day"],
                sent_at=None if last_sent is None else last_sent["settled_at"],
            )
        )
    return found


def _said_of(row: Any) -> tuple[str, bool]:
    """Return what a person should know of the latest mail, and whether it could not be sent."""
    if row["state"] == "sent":
        return "", False
    if not row["attempts"]:
        return (
            f"the account of {row['day']} is sent as soon as it is settled, an hour after its time at the latest",
            False,
        )
    times = "once" if row["attempts"] == 1 else f"{row['attempts']} times"
    if row["state"] == "pending" and row["error"] is None:
        return f"the account of {row['day']} is being sent", False
    why = f"the account of {row['day']} was tried {times}: {cause_in_words(row['error'])}"
    if row["state"] == "failed":
        return f"{why}; it was given up", True
    return f"{why}; the next try is at {row['due_at']:%H:%M} UTC", True
