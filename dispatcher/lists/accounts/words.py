"""Accounts in sentences: what a person should know, and what to do. Pure."""

from typing import Final

from dispatcher.lists.accounts.account import Account

SENTENCES: Final = {
    "complete": "all {theirs} faxes of {name}'s list are in the ledger",
    "open": "all {theirs} faxes of {name}'s list up to {until} are in the ledger",
    "not yet": "{name}'s list is still to be read for this day",
    "begun": "all {theirs} faxes of {name}'s list from {since} on are in the ledger; before, it was not read",
    "missing": "{missing} of {theirs} faxes on {name}'s list are not in the ledger: "
    "run `faxhook backfill {provider} --since {day}`, and look why it keeps lacking them",
    "only_ours": "{only_ours} of our {ours} faxes are not on {name}'s list: they were deleted there, or came from "
    "another account",
    "partly_read": "{name}'s list was read only from {since} to {until}: whether other faxes are missing is not "
    "known{because}",
    "not_read": "{name}'s list was not read: whether faxes are missing is not known{because}",
    "no_list": "there is no list to compare with: only what was received is known",
}
"""By verdict; `not yet`: an open day of which nothing had to be read so far."""


def sentence_of(account: Account) -> str:
    """Return what a person should know of an account."""
    is_not_yet = account.verdict == "open" and account.theirs is None
    since, until = (
        "?" if at is None else f"{at:%H:%M}" if at.date() == account.day else "24:00"
        for at in (account.read_since, account.read_until)
    )
    return SENTENCES["not yet" if is_not_yet else account.verdict].format(
        name=account.provider.capitalize(),
        provider=account.provider,
        day=account.day,
        theirs=_counted(account.theirs),
        ours=_counted(account.ours),
        missing=_counted(account.missing),
        only_ours=_counted(account.only_ours),
        since=since,
        until=until,
        because=f": {account.reason}" if account.reason else "",
    )


def _counted(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"
