"""What the commands of `faxhook endpoints` share: the opened ledger, the endpoint that is meant, the audit."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import UUID

from dispatcher.endpoint_store import EndpointStore
from dispatcher.ops.endpoint_api import AUDIT
from dispatcher.ops.endpoint_input import BadEndpoint
from dispatcher.ops.terminal import settings_of
from dispatcher.pool import Pool, open_pool
from dispatcher.routing import Endpoint
from dispatcher.settings import EndpointSettings

Kind = TypeVar("Kind", bound=EndpointSettings)


@asynccontextmanager
async def opened(kind: type[Kind]) -> AsyncIterator[tuple[Pool, EndpointStore, Kind]]:
    """Yield the ledger, the endpoints in it, and the settings of *kind* that lead there."""
    settings = settings_of(kind)
    pool = await open_pool(settings.database_url.reveal(), size=2)
    try:
        yield pool, EndpointStore(settings.seal()), settings
    finally:
        await pool.close()


async def existing(connection: Any, store: EndpointStore, text: str, *, lock: bool = True) -> Endpoint:
    """Return the endpoint whose id *text* is, locked for a change unless *lock* says otherwise.

    Raises:
        BadEndpoint: It is no id, or no endpoint's.
    """
    try:
        found = await store.get(connection, UUID(text), lock=lock)
    except ValueError:
        raise BadEndpoint("id", f"`{text}` is no id") from None
    if found is None:
        raise BadEndpoint("id", f"there is no endpoint {text}")
    return found


async def audit(connection: Any, what: str, endpoint: Endpoint) -> None:
    """Write down what was done on the command line."""
    await connection.execute(AUDIT, "cli", what, str(endpoint.id), "{}")
