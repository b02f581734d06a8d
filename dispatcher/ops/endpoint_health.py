"""How endpoints are doing: what was told and what failed lately, what is owed, since when it fails."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from dispatcher.pool import Pool

Verdict = Literal["healthy", "failing", "idle", "disabled", "gone"]
CircuitState = Literal["open", "closed"]


class EndpointHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How one endpoint is doing.

    Attributes:
        verdict: `failing`: its latest attempt failed, or its circuit is open. `idle`: nothing was tried lately.
            `gone`: it answered 410 and is switched off.
        sentence: The same for people.
        recent_seconds: How far back `told`, `failed` and the latest times look.
        told: Attempts lately that were told.
        failed: Attempts lately that were not.
        last_error: Of the latest attempt that failed, lately.
        failing_since: When the failures began after which nothing was told.
        owed: Deliveries that are pending or retrying.
        due: Those of them whose time has come.
        next_due_at: When the next one is due.
        dead: Its dead letters.
        circuit: In this process; None where no attempts are made (the command line).
    """

    endpoint_id: UUID
    verdict: Verdict
    sentence: str
    recent_seconds: float
    told: int
    failed: int
    last_told_at: datetime | None
    last_failed_at: datetime | None
    last_error: str | None
    failing_since: datetime | None
    owed: int
    due: int
    next_due_at: datetime | None
    dead: int
    circuit: CircuitState | None


class EndpointHealthReader:
    """Reads health. *circuit_is_open* tells of this process; None where no attempts are made."""

    def __init__(self, pool: Pool, circuit_is_open: Callable[[UUID], bool] | None = None) -> None:
        self._pool = pool
        self._circuit_is_open = circuit_is_open

    async def of(self, endpoint_ids: Sequence[UUID] | None = None) -> dict[UUID, EndpointHealth]:
        """Return the health of these endpoints, or of all."""
        raise NotImplementedError
