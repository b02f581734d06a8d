"""Draws up the accounts of one provider's days: those that its list may still change, and those that are not settled.

It runs where the list is read, in turn with the readings: what a reading is about to tell is never taken for missing.
"""

import time
from datetime import timedelta
from typing import Any, Final

from dispatcher.alerts.kinds import Kind
from dispatcher.alerts.matters import raise_matter, resolve_matter
from dispatcher.configuration.lists import Reconciliation
from dispatcher.lists.accounts import ledger
from dispatcher.lists.accounts.account import Account, account_of, is_alarming
from dispatcher.lists.accounts.listed import prune_listed
from dispatcher.metrics import Metrics
from shared.domain import Provider, utc_now
from shared.log import get_logger

MOST_ON_THE_WAY_SECONDS: Final = 60.0
"""What a list told is in the ledger by then, or is missing."""

UNSETTLED_EVERY: Final = timedelta(hours=1)
"""How often the account of an older day is drawn up again, while it may still change."""

SLACK: Final = timedelta(minutes=1)
"""How long a reading may take."""

WITHOUT_LIST: Final = timedelta(days=1)
"""How far back accounts are drawn up where there is no list: a delivery that is owed for longer makes it longer."""


NOW: Final = "SELECT now()"


class Bookkeeper:
    """Draws up the accounts of *provider*, by the connection that leads its readings.

    The ledger's clock says when; which day it is, and whether its list is up to date, the provider's.

    Attributes:
        clock_ahead: By how much the provider's clock is ahead of this machine's, where that matters.
    """

    def __init__(
        self, provider: Provider, settings: Reconciliation, retention_days: int, metrics: Metrics, *, has_list: bool
    ) -> None:
        self.clock_ahead = timedelta(0)
        self._provider = provider
        self._has_list = has_list
        self._window = timedelta(seconds=settings.window_seconds) if has_list else WITHOUT_LIST
        self._fresh = timedelta(seconds=settings.grace_seconds + 2 * settings.every_seconds) + SLACK
        self._grace = timedelta(seconds=settings.grace_seconds)
        self._every_seconds = settings.every_seconds
        self._on_the_way_seconds = min(MOST_ON_THE_WAY_SECONDS, settings.every_seconds)
        self._kept = max(timedelta(days=retention_days), self._window + timedelta(days=2))
        self._metrics = metrics
        self._due_at = 0.0
        self._log = get_logger()

    async def draw_up(self, connection: Any) -> list[Account]:
        """Draw up all accounts that may have changed; return them."""
        now = await connection.fetchval(NOW)
        here = utc_now() + self.clock_ahead if self._has_list else now
        self._due_at = time.monotonic() + self._every_seconds
        first = (here - self._window).date()
        oldest = (here - self._kept).date()
        days = [first + timedelta(days=number) for number in range((here.date() - first).days + 1)]
        if not self._has_list and not await ledger.has_faxes(connection, self._provider):
            days = []  # most installations use one provider, or two
        older = await ledger.unsettled_days(connection, self._provider, oldest, first, now - UNSETTLED_EVERY)
        drawn = []
        for day in (*older, *days):
            standing = await ledger.standing_of(
                *(connection, self._provider, day),
                has_list=self._has_list,
                recent=here - self._fresh,
                now=now,
                grace=self._grace,
            )
            figures = await ledger.count(connection, self._provider, standing, self._on_the_way_seconds)
            account = account_of(self._provider, figures, standing)
            if account.verdict == "no_list" and not account.ours:
                continue
            if figures.on_the_way:
                self._due_at = time.monotonic() + self._on_the_way_seconds
            before = await ledger.read(connection, self._provider, day, now)
            await ledger.write(connection, account)
            after = await ledger.read(connection, self._provider, day, now)
            assert after is not None, "it was just written"
            await self._alarm(connection, after)
            self._report(before, after)
            drawn.append(after)
        if self._has_list:
            await prune_listed(connection, self._provider, oldest)
        return drawn

    async def draw_up_if_due(self, connection: Any) -> None:
        """Draw up what was on its way into the ledger the last time, and where no list is read all accounts."""
        if time.monotonic() >= self._due_at:
            await self.draw_up(connection)

    async def _alarm(self, connection: Any, account: Account) -> None:
        subject = f"{account.provider} {account.day}"
        if account.is_wrong:
            number = (account.missing or 0) + (account.only_ours or 0)
            what = f"The account of {account.day}: {account.sentence}"
            await raise_matter(connection, Kind.ACCOUNT_MISMATCH, subject, what, count=max(1, number))
        else:
            await resolve_matter(connection, Kind.ACCOUNT_MISMATCH, subject, account.sentence)

    def _report(self, before: Account | None, account: Account) -> None:
        if not account.is_wrong:
            return
        self._metrics.count_wrong_account(account.provider, account.verdict)
        was = None
        if before is not None:
            was = (before.verdict, before.missing, before.only_ours, is_alarming(before, before.drawn_up_at))
        if was != (account.verdict, account.missing, account.only_ours, True):
            self._log.warning(
                "account.wrong",
                provider=account.provider,
                day=account.day.isoformat(),
                verdict=account.verdict,
                missing=account.missing,
                reason=account.sentence,
            )
