"""The daily accounts as they are read: filtered and a page at a time."""

from datetime import date
from typing import Annotated, Any, Final

import msgspec

from dispatcher.ledger.pool import Pool
from dispatcher.lists.accounts import ledger
from dispatcher.lists.accounts.account import Account
from dispatcher.lists.accounts.ledger import SELECTED, account_in
from dispatcher.ops.api.cursor import MOST_PER_PAGE, Cursor, CursorOf, Limit
from dispatcher.ops.api.lookups import NoSuch
from dispatcher.ops.api.moments import MomentText, read_moment, read_span
from shared.domain import Provider, utc_now

DayText = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=60,
        description="a day of UTC: 2026-11-28, `today` or `yesterday`; a time means its day",
    ),
]

CURSOR: Final = CursorOf("accounts", tuple[date, Provider])

MOST_NAMED: Final = 100


class AccountPage(msgspec.Struct, frozen=True, kw_only=True):
    """Accounts, the latest day first."""

    items: tuple[Account, ...]
    next: str | None


class AccountQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which accounts, and which page of them. `since` and `until` mean days, the former included."""

    provider: Provider | None = None
    day: DayText | None = None
    since: MomentText | None = None
    until: MomentText | None = None
    limit: Limit = MOST_PER_PAGE
    after: Cursor | None = None


class AccountInFull(Account, frozen=True, kw_only=True):
    """An account, with what is missing by name.

    Attributes:
        missing_faxes: Ids of faxes of the list that are not in the ledger now, a hundred at most.
    """

    missing_faxes: list[str]


class AccountReader:
    """Queries of the accounts."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(self, query: AccountQuery) -> AccountPage:
        """Return a page of accounts, the latest day first, of a day by provider.

        Raises:
            BadCursor: The cursor is not one of the accounts.
            BadMoment: `day`, `since` or `until` is no moment, or nothing lies between the latter two.
        """
        now = utc_now()
        since, until = read_span(query.since, query.until, now)
        conditions, values = ["drawn_up_at IS NOT NULL"], list[Any]()

        def within(condition: str, *given: Any) -> None:
            conditions.append(condition.format(*(f"${len(values) + index + 1}" for index in range(len(given)))))
            values.extend(given)

        if query.provider is not None:
            within("provider = {0}", query.provider)
        if query.day is not None:
            within("day = {0}", read_moment("day", query.day, now).date())
        if since is not None:
            within("day >= {0}", since.date())
        if until is not None:
            within("day < {0}", until.date())
        if query.after is not None:
            key = CURSOR.read(query.after)
            within("(day < {0} OR day = {0} AND provider > {1})", *key)
        statement = f"""
            SELECT {SELECTED} FROM accounts WHERE {" AND ".join(conditions)}
            ORDER BY day DESC, provider LIMIT {query.limit + 1}
        """  # noqa: S608 - columns and conditions of ours
        rows = await self._pool.fetch(statement, *values)
        items = tuple(account_in(row, now) for row in rows[: query.limit])
        cursor = CURSOR.write(items[-1].day, items[-1].provider) if len(rows) > query.limit else None
        return AccountPage(items=items, next=cursor)

    async def account(self, provider: Provider, day: str) -> AccountInFull:
        """Return the account of one day.

        Raises:
            BadMoment: *day* cannot be read.
            NoSuch: It was never drawn up.
        """
        now = utc_now()
        on = read_moment("day", day, now).date()
        found = await ledger.read(self._pool, provider, on, now)
        if found is None:
            raise NoSuch("account", f"{provider} {on}")
        return await self.in_full(found)

    async def in_full(self, account: Account) -> AccountInFull:
        """Return *account* with the faxes that it lacks now."""
        names = await self.missing(account, MOST_NAMED)
        return AccountInFull(**msgspec.structs.asdict(account), missing_faxes=names)

    async def missing(self, account: Account, most: int) -> list[str]:
        """Return the ids of at most *most* faxes that this account lacks now."""
        if not account.missing:
            return []
        return await ledger.missing_faxes(self._pool, account.provider, account.day, most)
