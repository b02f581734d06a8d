"""The daily account as a mail: one line for each provider, and what is missing. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

from dispatcher.channels.mail.content import Story
from dispatcher.channels.mail.phrases import plain
from dispatcher.channels.phrases import Tone
from dispatcher.lists.accounts.account import Account
from shared.domain import Provider

MOST_CHARACTERS: Final = 600
SETTLED: Final = frozenset({"complete", "begun", "missing", "only_ours", "no_list"})
"""What a later reading of the list changes only if something else happens."""


def is_settled(accounts: Sequence[Account]) -> bool:
    """Is there an account, and does each say how its day went? Else it is better told a little later."""
    return bool(accounts) and all(each.verdict in SETTLED for each in accounts)


def letter_of(
    day: date, accounts: Sequence[Account], missing: Mapping[Provider, Sequence[str]], console_url: str | None
) -> Story:
    """Return what the mail about *day* says; *missing* names faxes that are not in the ledger."""
    tone, summary = summary_of(accounts)
    notes = [plain(f"{_name(each)}: {each.sentence}", MOST_CHARACTERS) for each in accounts if each.is_wrong]
    notes += [
        plain(f"Missing of {provider}: {', '.join(fax_ids)}", MOST_CHARACTERS)
        for provider, fax_ids in missing.items()
        if fax_ids
    ]
    if notes:
        notes.append(f"`faxhook account --day {day}` shows this account as it stands now.")
    return Story(
        subject=f"[faxhook] Faxes of {day}: {summary}",
        tone=tone,
        title=f"Daily account of {day} (UTC)",
        is_test=False,
        lead=f"{summary[0].upper()}{summary[1:]}.",
        rows=[(_name(each), line_of(each)) for each in accounts],
        recipients=(),
        notes=notes,
        link=None if console_url is None else f"{console_url}/accounts",
        small=(),
    )


def summary_of(accounts: Sequence[Account]) -> tuple[Tone, str]:
    """Return how the day went, in half a sentence: the worst that is known of any provider."""
    missing, only_ours, dead, owed, ours = (
        sum(getattr(each, name) or 0 for each in accounts) for name in ("missing", "only_ours", "dead", "owed", "ours")
    )
    verdicts = {each.verdict for each in accounts}
    said: list[tuple[bool, Tone, str]] = [
        (missing > 0, "bad", f"{_faxes(missing)} missing"),
        (not accounts, "partly", "there is no account, because no fax came and no list was read"),
        (not verdicts <= SETTLED, "partly", "whether faxes are missing is not known"),
        (only_ours > 0, "partly", f"{_faxes(only_ours)} on no provider's list"),
        (dead > 0, "partly", f"{_faxes(dead)} not delivered to an application"),
        (verdicts == {"no_list"}, "good", f"{ours:,} came; there is no list to compare with"),
        (owed > 0, "good", f"theirs = ours, nothing is missing; {_faxes(owed)} still to be delivered"),
    ]
    is_so = (each for each in said if each[0])
    _, tone, summary = next(is_so, (True, "good", "theirs = ours, nothing is missing"))
    return tone, summary


def line_of(account: Account) -> str:
    """Return the figures of one provider."""
    repaired = f", {account.repaired:,} of them repaired by the list" if account.repaired else ""
    unowed = f", {account.unowed:,} asked for by no endpoint" if account.unowed else ""
    theirs = "no list" if account.verdict == "no_list" else f"theirs {_count(account.theirs)}"
    return (
        f"{theirs}, ours {account.ours:,}{repaired}; delivered {account.told:,}, owed {account.owed:,}, "
        f"dead {account.dead:,}{unowed}"
    )


def _name(account: Account) -> str:
    return account.provider.capitalize()


def _faxes(count: int) -> str:
    return "1 fax is" if count == 1 else f"{count:,} faxes are"


def _count(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"
