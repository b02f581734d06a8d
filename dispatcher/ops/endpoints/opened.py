"""What the commands of `faxhook endpoints` share: the opened ledger, the id that is meant, who asks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Generic, TypeVar

import msgspec

from dispatcher.ledger.endpoint_cache import EndpointCache
from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.intake import Intake
from dispatcher.ledger.pool import Pool, open_pool
from dispatcher.ops.api.audit import CLI
from dispatcher.ops.endpoints.changes import Command, EndpointChanges
from dispatcher.ops.terminal import settings_of
from dispatcher.settings import EndpointSettings

Kind = TypeVar("Kind", bound=EndpointSettings)

BY_CLI: Final = Command(who=CLI)


class Opened(msgspec.Struct, Generic[Kind], frozen=True):
    """The ledger, the endpoints in it, the changes to them, and the settings that lead there."""

    pool: Pool
    store: EndpointStore
    changes: EndpointChanges
    settings: Kind


@asynccontextmanager
async def opened(kind: type[Kind]) -> AsyncIterator[Opened[Kind]]:
    """Yield what the settings of *kind* lead to."""
    settings = settings_of(kind)
    pool = await open_pool(settings.database_url.reveal(), size=2)
    try:
        store = EndpointStore(settings.seal())
        intake = Intake(pool, store, EndpointCache(pool, store))
        yield Opened(pool, store, EndpointChanges(pool, store, intake, settings), settings)
    finally:
        await pool.close()
