"""Finds the faxes that stalled, once a minute, in one dispatcher at a time.

| a fax is without an ending for longer than its limit, and | then |
|---|---|
| its provider's API tells its ending | the event of the list, as in a reading; `fax.stalled` never |
| its provider's API says that it is under way, or does not know it | `fax.stalled` |
| no key is set, or the key is refused | `fax.stalled` |
| its provider does not answer now | asked again, for as long as the limit again, at most an hour; then `fax.stalled` |

An event is published and not written: the ledger takes it in once, by its id, whichever process published it and how
often. It goes to the end of `work.events`: an ending that waits there comes first, and then it is old news.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from dispatcher.alerts.kinds import Kind
from dispatcher.alerts.matters import raise_matter
from dispatcher.egress.client import EgressClient
from dispatcher.ledger.locks import Lock, leader, stay_awake
from dispatcher.ledger.pool import LEDGER_UNAVAILABLE, Pool
from dispatcher.lists.apis.by_provider import list_api
from dispatcher.lists.client import ListClient
from dispatcher.lists.reconciler import STORES_AWAY
from dispatcher.lists.stalled.asking import Asker
from dispatcher.lists.stalled.faxes import ProviderSays, UnendedFax, stalled_event, unended_faxes
from dispatcher.messages import Publishing
from dispatcher.metrics import Metrics
from dispatcher.publishing import late_publisher
from dispatcher.settings import DispatcherSettings
from shared.amqp.session import broker_session
from shared.broker import FAX_IN, WORK_EVENTS
from shared.domain import Provider, utc_now
from shared.log import get_logger
from shared.media import MediaStore
from shared.quarantine import event_message

LONGEST_LOOK_SECONDS: Final = 60.0
SHORTEST_LOOK_SECONDS: Final = 0.25
LOOKS_ALONE: Final = 10
"""So many looks a fax is left alone after its event was published, or if its ending is a matter of minutes."""

MOST_PATIENCE_SECONDS: Final = 3600.0
MOST_PER_LOOK: Final = 1_000
"""Faxes of one provider that something is done about, in one look."""

MOST_WAITING: Final = 1_000
"""Events in `work.events`: with more, endings may be among them, and it is looked later."""

BROKER_SECONDS: Final = 10.0


class StallWatch:
    """Looks while this process is the one that does. One connection of *pool* is kept for as long."""

    def __init__(
        self, pool: Pool, client: EgressClient, media: MediaStore, metrics: Metrics, settings: DispatcherSettings
    ) -> None:
        self._pool = pool
        self._media = media
        self._metrics = metrics
        self._amqp_url = settings.for_operations()
        self._grace_seconds = settings.reconciliation().grace_seconds
        self._client = client
        self._apis = {access.provider: list_api(access) for access in settings.reconciliation().accesses}
        self._limits = settings.stalled_limits()
        self._look_seconds = max(SHORTEST_LOOK_SECONDS, min(LONGEST_LOOK_SECONDS, *self._limits.values()) / 4)
        self._not_before: dict[tuple[Provider, str], float] = {}
        self._untold: Counter[Provider] = Counter()  # stalled faxes of which the operator is to be told
        self._log = get_logger()

    async def run(self, schema_verified: Callable[[], Awaitable[None]]) -> None:
        """Look for ever, once the schema is verified."""
        await schema_verified()
        while True:
            try:
                async with leader(self._pool, Lock.FIND_STALLED) as connection:
                    while connection is not None:
                        await self._look(connection)
                        await asyncio.sleep(self._look_seconds)
            except LEDGER_UNAVAILABLE as error:
                self._log.warning("stalled.failed", code="ledger", reason=type(error).__name__)
            except Exception:  # noqa: BLE001 - it must not end what the dispatcher does beside it
                self._log.exception("stalled.crashed")
            await asyncio.sleep(self._look_seconds)

    async def _look(self, connection: Any) -> None:
        now = time.monotonic()
        self._not_before = {fax: at for fax, at in self._not_before.items() if at > now}
        try:
            async with late_publisher(self._amqp_url) as publisher:
                for provider in Provider:
                    await self._look_at(provider, connection, publisher)
        except STORES_AWAY as error:
            self._log.warning("stalled.failed", code=error.code, reason=str(error))

    async def _look_at(self, provider: Provider, connection: Any, publisher: Publishing) -> None:
        api, awake = self._apis.get(provider), partial(stay_awake, connection)
        client = None if api is None else ListClient(self._client, api, stay_awake=awake)
        asker = Asker(client, connection, publisher, self._media, self._grace_seconds)
        done = 0
        try:
            async for fax in unended_faxes(connection, provider, self._limits):
                if (provider, fax.fax_id) in self._not_before:
                    continue
                if not done and await self._is_behind():
                    break
                done += await self._take(fax, asker, publisher)
                if done >= MOST_PER_LOOK or asker.is_over:
                    break
        finally:
            self._metrics.count_missed(provider, asker.told)
        if count := self._untold.pop(provider, 0):
            what = f"{provider}: faxes have had no ending for longer than STALLED_AFTER"
            await raise_matter(connection, Kind.FAXES_STALLED, provider, what, count=count)

    async def _take(self, fax: UnendedFax, asker: Asker, publisher: Publishing) -> bool:
        """Do what is to be done about a fax; return False if it is left to the next look."""
        limit_seconds = self._limits[fax.provider, fax.direction]
        match await asker.ask(fax.fax_id):
            case "unavailable" | "away" as answer:
                if fax.age_seconds > limit_seconds + min(limit_seconds, MOST_PATIENCE_SECONDS):
                    await self._tell(fax, limit_seconds, "not_asked", publisher)
                elif answer == "away":
                    return False
            case "ended" | "later":
                pass
            case said:
                await self._tell(fax, limit_seconds, said, publisher)
        self._not_before[fax.provider, fax.fax_id] = time.monotonic() + LOOKS_ALONE * self._look_seconds
        return True

    async def _tell(self, fax: UnendedFax, limit_seconds: float, says: ProviderSays, publisher: Publishing) -> None:
        event = stalled_event(fax, limit_seconds, says, utc_now())
        body, headers = event_message(event)
        await publisher.publish(FAX_IN, event.routing_key, body, headers)
        self._metrics.count_stalled(fax.provider)
        self._untold[fax.provider] += 1
        self._log.warning(
            "fax.stalled",
            event_id=event.id,
            provider=fax.provider,
            fax_id=fax.fax_id,
            seconds=round(fax.age_seconds),
            reason=f"no ending came; provider: {says}",
        )

    async def _is_behind(self) -> bool:
        """Are so many events not taken in yet that endings may be among them?"""
        async with broker_session(self._amqp_url, "faxhook stalled", connect_seconds=BROKER_SECONDS) as broker:
            depth = await broker.depth(WORK_EVENTS)
        return depth is None or depth.messages > MOST_WAITING
