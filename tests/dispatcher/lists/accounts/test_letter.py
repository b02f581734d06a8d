"""The mail with the daily account says theirs = ours, or what is missing; never the former of what is not known."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from dispatcher.lists.accounts.account import Account
from dispatcher.lists.accounts.letter import is_settled, letter_of, summary_of
from shared.domain import Provider

DAY = date(2026, 11, 28)
NOT_LISTED = {"theirs": None, "repaired": None, "missing": None, "only_ours": None, "under_way": None}


def account(provider: str = "phaxio", verdict: Any = "complete", **fields: Any) -> Account:
    figures = {"theirs": 5, "ours": 5, "repaired": 0, "missing": 0, "only_ours": 0, "under_way": 0}
    fates = {"told": 5, "owed": 0, "dead": 0, "unowed": 0}
    rest = {"read_since": None, "read_until": None, "reason": None, "drawn_up_at": datetime(2026, 11, 29, tzinfo=UTC)}
    return Account(provider=Provider(provider), day=DAY, verdict=verdict, **{**figures, **fates, **rest, **fields})


@pytest.mark.parametrize(
    ("accounts", "tone", "summary"),
    [
        ([account()], "good", "theirs = ours, nothing is missing"),
        ([account(owed=1, told=4)], "good", "theirs = ours, nothing is missing; 1 fax is still to be delivered"),
        ([account(dead=2, told=3)], "partly", "2 faxes are not delivered to an application"),
        ([account(), account("sinch", "missing", missing=1, ours=4)], "bad", "1 fax is missing"),
        ([account(), account("sinch", "not_read", **NOT_LISTED)], "partly", "whether faxes are missing is not known"),
        ([account(verdict="partly_read")], "partly", "whether faxes are missing is not known"),
        ([account(verdict="only_ours", only_ours=3, ours=8)], "partly", "3 faxes are on no provider's list"),
        ([account("asterisk", "no_list", **NOT_LISTED)], "good", "5 came; there is no list to compare with"),
        ([account("asterisk", "no_list", **NOT_LISTED), account()], "good", "theirs = ours, nothing is missing"),
        ([], "partly", "there is no account, because no fax came and no list was read"),
    ],
)
def test_the_worst_of_any_provider_is_the_subject(accounts: list[Account], tone: str, summary: str) -> None:
    assert summary_of(accounts) == (tone, summary)
    assert letter_of(DAY, accounts, {}, None).subject == f"[faxhook] Faxes of 2026-11-28: {summary}"


def test_what_is_missing_is_named_and_what_to_do_is_said_and_nothing_breaks_out_of_the_mail() -> None:
    wrong = account("sinch", "missing", missing=2, ours=3, is_wrong=True, sentence="2 of 5 faxes are not there")
    names = {Provider.SINCH: ["a1", "b2\r\nBcc: x@example.com"]}
    story = letter_of(DAY, [account(), wrong], names, "https://fax.example")
    assert story.rows[1] == ("Sinch", "theirs 5, ours 3; delivered 5, owed 0, dead 0")
    said = " | ".join(story.notes)
    assert "Sinch: 2 of 5 faxes are not there" in said
    assert "Missing of sinch: a1, b2 Bcc: x@example.com" in said
    assert "`faxhook account --day 2026-11-28`" in said
    assert story.link == "https://fax.example/accounts"


def test_it_is_settled_once_each_list_was_read_for_the_whole_day() -> None:
    assert is_settled([account(), account("asterisk", "no_list")])
    assert not is_settled([account(), account("sinch", "partly_read")])
    assert not is_settled([account(verdict="open")])
    assert not is_settled([])
