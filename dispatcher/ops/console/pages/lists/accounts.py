"""The daily accounts: a day with its providers, the latest first, a page at a time."""

from collections.abc import Sequence
from datetime import date
from itertools import groupby
from typing import Final
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from dispatcher.configuration.accounts import AccountMailing
from dispatcher.lists.accounts.account import Account
from dispatcher.ops.accounts.mails import mails_of
from dispatcher.ops.accounts.reader import AccountQuery, AccountReader
from dispatcher.ops.console.access.guard import Visit
from dispatcher.ops.console.pages.filters import chosen_of, filter_of, refusing_filters
from dispatcher.ops.console.sources import Sources
from shared.domain import Provider

MOST_SHOWN: Final = 60
MOST_LACKING, MOST_NAMED = 10, 10
"""Accounts of which a page names what is missing, and faxes that it names of each."""

FILTER_FIELDS: Final = ("provider", "since", "until")
PROVIDERS: Final = tuple((each.value, each.capitalize()) for each in Provider)


class AccountsPage:
    """The handler."""

    def __init__(self, sources: Sources, mailing: AccountMailing) -> None:
        self._pool = sources.pool
        self._reader = AccountReader(sources.pool)
        self._mailing = mailing

    async def show(self, visit: Visit) -> web.Response:
        """Show a page."""
        given = visit.request.query
        fields = {name: value.strip() for name, value in given.items() if value.strip()}
        query = msgspec.structs.replace(filter_of(fields, AccountQuery), limit=MOST_SHOWN)
        with refusing_filters():
            page = await self._reader.page(query)
        lacking = [account for account in page.items if account.missing][:MOST_LACKING]
        chosen = chosen_of(given, FILTER_FIELDS)
        return visit.page(
            "accounts.html",
            days=by_day(page.items),
            mail_at=self._mailing.at,
            mails=await mails_of(self._pool, self._mailing),
            missing={account: await self._reader.missing(account, MOST_NAMED) for account in lacking},
            chosen=chosen,
            providers=PROVIDERS,
            next=None if page.next is None else urlencode({**chosen, "after": page.next}),
        )


def by_day(accounts: Sequence[Account]) -> list[tuple[date, list[Account]]]:
    """Return the accounts of each day together, in their order."""
    return [(day, list(some)) for day, some in groupby(accounts, key=lambda account: account.day)]
