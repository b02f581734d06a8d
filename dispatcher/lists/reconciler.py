"""The standing reconciliation: each provider's list is read every few minutes, by one dispatcher at a time.

After each reading the accounts of its days are drawn up; those of the providers without a list as often.

When a reading is due is said by the ledger, so that several dispatchers, or one that starts anew, ask a provider no
more often. A provider that does not answer delays no other one, and nothing of this is on the way of a callback.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any, Final

from dispatcher.alerts.kinds import Kind
from dispatcher.alerts.matters import raise_matter
from dispatcher.configuration.lists import Access
from dispatcher.egress.client import EgressClient
from dispatcher.ledger.locks import Lock, leader, stay_awake
from dispatcher.ledger.pool import LEDGER_UNAVAILABLE, Pool
from dispatcher.lists import readings
from dispatcher.lists.accounts.bookkeeper import Bookkeeper
from dispatcher.lists.accounts.mails import AccountMailer, open_account_mailer
from dispatcher.lists.apis.by_provider import list_api
from dispatcher.lists.client import ListClient
from dispatcher.lists.errors import ListUnavailable
from dispatcher.lists.known import KnownBefore
from dispatcher.lists.reading import Reading
from dispatcher.lists.readings import Outcome, Tally
from dispatcher.metrics import Metrics
from dispatcher.publishing import late_publisher
from dispatcher.settings import DispatcherSettings
from shared.amqp.errors import ConnectionLost
from shared.amqp.publisher import NotKept
from shared.domain import Provider, utc_now
from shared.log import get_logger
from shared.media import MediaStore, MediaUnavailable

LONGEST_LOOK_SECONDS: Final = 15.0
"""Between two looks whether a reading is due."""

LONGEST_RETRY_SECONDS: Final = 6 * 3600.0
"""What a provider may ask for. `Retry-After` of a year would be no rule but an error."""

LOCKS: Final = {
    Provider.PHAXIO: Lock.READ_LIST_OF_PHAXIO,
    Provider.TELNYX: Lock.READ_LIST_OF_TELNYX,
    Provider.SINCH: Lock.READ_LIST_OF_SINCH,
}
STORES_AWAY: Final = (NotKept, ConnectionLost, MediaUnavailable)


@asynccontextmanager
async def open_reconciler(
    pool: Pool, client: EgressClient, media: MediaStore, metrics: Metrics, settings: DispatcherSettings
) -> AsyncIterator["Reconciler"]:
    """Yield the reconciler, and close the mailer of its accounts at the end."""
    async with open_account_mailer(settings, metrics) as mailer:
        yield Reconciler(pool, client, media, metrics, settings, mailer)


class Reconciler:
    """Reads the lists while this process is the one that does. One connection of *pool* is used for each reading."""

    def __init__(
        self,
        pool: Pool,
        client: EgressClient,
        media: MediaStore,
        metrics: Metrics,
        settings: DispatcherSettings,
        mailer: AccountMailer | None,
    ) -> None:
        self._pool = pool
        self._client = client
        self._media = media
        self._metrics = metrics
        self._mailer = mailer
        self._amqp_url = settings.for_operations()
        self._settings = settings.reconciliation()
        self._retention_days = settings.retention_days
        self._look_seconds = min(LONGEST_LOOK_SECONDS, self._settings.every_seconds / 4)
        self._before = {access.provider: KnownBefore() for access in self._settings.accesses}
        self._log = get_logger()

    async def run(self, schema_verified: Callable[[], Awaitable[None]]) -> None:
        """Read for ever, once the schema is verified; where no key is set, only keep the accounts."""
        await schema_verified()
        with_list = {access.provider for access in self._settings.accesses}
        without = [self._bookkeeper(each, has_list=False) for each in Provider if each not in with_list]

        async def keep_accounts(connection: Any) -> None:
            for bookkeeper in without:
                await bookkeeper.draw_up_if_due(connection)
            if self._mailer is not None:
                await self._mailer.look(connection)

        async with asyncio.TaskGroup() as group:
            for access in self._settings.accesses:
                bookkeeper = self._bookkeeper(access.provider, has_list=True)
                look = partial(self._look, access, bookkeeper)
                group.create_task(self._lead(LOCKS[access.provider], access.provider, look))
            group.create_task(self._lead(Lock.KEEP_ACCOUNTS, None, keep_accounts))

    def _bookkeeper(self, provider: Provider, *, has_list: bool) -> Bookkeeper:
        return Bookkeeper(provider, self._settings, self._retention_days, self._metrics, has_list=has_list)

    async def _lead(self, lock: Lock, provider: Provider | None, look: Callable[[Any], Awaitable[None]]) -> None:
        """Look for ever, every few seconds, while this process holds *lock*."""
        while True:
            try:
                async with leader(self._pool, lock) as connection:
                    if connection is not None:
                        await look(connection)
            except LEDGER_UNAVAILABLE as error:
                self._log.warning("list.failed", provider=provider, code="ledger", reason=type(error).__name__)
            except Exception:  # noqa: BLE001 - it must not end what the dispatcher does beside it
                self._log.exception("list.crashed", provider=provider)
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                return  # the driver raised its own error instead of the cancellation, and a group cancels but once
            await asyncio.sleep(self._look_seconds)

    async def _look(self, access: Access, bookkeeper: Bookkeeper, connection: Any) -> None:
        await readings.mark_interrupted(connection, access.provider)
        if await readings.is_due(connection, access.provider, self._settings.every_seconds):
            bookkeeper.clock_ahead = await self._read(connection, access)
            await bookkeeper.draw_up(connection)
        else:
            await bookkeeper.draw_up_if_due(connection)

    async def _read(self, connection: Any, access: Access) -> timedelta:
        """Read a list; return by how much the provider's clock is ahead of ours, where that matters."""
        client = ListClient(self._client, list_api(access), stay_awake=partial(stay_awake, connection))
        until = utc_now() - timedelta(seconds=self._settings.grace_seconds)
        since = until - timedelta(seconds=self._settings.window_seconds)
        reading_id = await readings.begin(connection, access.provider, since, until, is_standing=True)
        note = readings.Progress(connection, reading_id).note
        async with late_publisher(self._amqp_url) as publisher:
            stores = (connection, publisher, self._media)
            before = self._before[access.provider]
            reading = Reading(client, *stores, self._settings.grace_seconds, note, before=before)
            outcome: Outcome = "failed"
            code, reason, wait_seconds = "", "", 0.0
            try:
                ahead = await client.learn_clock()  # it decides what the window is
                await reading.run(since + ahead, until + ahead)
                outcome, reason = outcome_of(reading.tally, client, reading.beside)
            except ListUnavailable as error:
                code, reason = error.code, str(error)
                wait_seconds = min(error.retry_after_seconds, LONGEST_RETRY_SECONDS)
            except STORES_AWAY as error:
                code, reason = error.code, str(error)
            # What ends otherwise, by SIGTERM or our own fault, is noted as interrupted when the next one begins.
            self._report(access.provider, reading.tally, outcome, code, reason)
            await readings.progress(connection, reading_id, reading.tally)
            await readings.finish(connection, reading_id, outcome, reason or None, wait_seconds)
            if missing := reading.tally.missing:
                what = f"{access.provider}: faxes that no callback told were found on its list"
                await raise_matter(connection, Kind.GAP_REPAIRED, access.provider, what, count=missing)
        await readings.prune_readings(connection, access.provider, self._retention_days)
        return client.clock_ahead

    def _report(self, provider: Provider, tally: Tally, outcome: Outcome, code: str, reason: str) -> None:
        self._metrics.count_reading(provider, outcome, tally.missing)
        if outcome == "failed":
            self._log.warning("list.failed", provider=provider, code=code, reason=reason)
        else:
            self._log.info("list.read", provider=provider, count=tally.seen, missing=tally.missing, reason=reason)


def outcome_of(tally: Tally, client: ListClient, beside: int = 0) -> tuple[Outcome, str]:
    """Return how a reading that came to its end went, and what a person should know of it.

    *beside*: faxes of the list that are older than its window.
    """
    said = []
    if tally.unreadable:
        said.append(f"{tally.unreadable} faxes of the list cannot be read: report it with an example")
    if tally.postponed:
        said.append(f"the documents of {tally.postponed} faxes cannot be fetched now: they are tried again")
    outcome: Outcome = "partly" if said else "done"
    if beside:
        said.append(f"the list also has {beside} faxes from before the window that was asked for: they are left alone")
    if client.is_skewed:
        seconds = client.clock_ahead_seconds
        which = "ahead of" if seconds > 0 else "behind"
        said.append(f"the provider's clock is {abs(seconds):.0f} s {which} ours: check the time of this machine")
    return outcome, "; ".join(said)
