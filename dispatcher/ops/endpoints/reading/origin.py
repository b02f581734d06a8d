"""When an endpoint was created, and by whom, as the audit has it."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

ORIGIN: Final = """
SELECT created_at, (
    SELECT who FROM audit WHERE subject = $1::uuid::text AND what = 'endpoint.added' ORDER BY at, audit.id LIMIT 1
) AS created_by
FROM endpoints WHERE id = $1
"""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """When it was created; `created_by` is None where the audit does not know."""

    created_at: datetime
    created_by: str | None


async def read_origin(connection: Any, endpoint_id: UUID) -> Origin:
    """Return the origin of an endpoint that exists."""
    return msgspec.convert(dict(await connection.fetchrow(ORIGIN, endpoint_id)), Origin)
