"""Looks at what may be wrong, and tells the operator: one dispatcher at a time, beside the way of a delivery.

The lock goes with its connection, and a message is claimed in the ledger before it is sent: two dispatchers do not send
the same one, and what a dispatcher that died had claimed is sent by the next.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from dispatcher.alerts import messages
from dispatcher.alerts.checks.base import Check
from dispatcher.alerts.matters import settle_happenings
from dispatcher.alerts.transport import Transport
from dispatcher.channels.outcome import Told
from dispatcher.ledger.locks import Lock, leader
from dispatcher.ledger.pool import LEDGER_UNAVAILABLE, Pool
from dispatcher.metrics import Metrics
from shared.errors import FaxhookError
from shared.log import get_logger

LOOK_SECONDS: Final = 10.0
PRUNE_SECONDS: Final = 3600.0

OPEN_KINDS: Final = "SELECT kind, count(*) AS count FROM alerts WHERE resolved_at IS NULL GROUP BY kind"


class Alerter:
    """Runs *checks* and sends messages while this process is the one that does."""

    def __init__(
        self,
        pool: Pool,
        checks: Sequence[Check],
        transport: Transport,
        metrics: Metrics,
        *,
        console_url: str | None,
        retention_days: int,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._pool = pool
        self._checks = checks
        self._due = dict.fromkeys(range(len(checks)), 0.0)
        self._transport = transport
        self._metrics = metrics
        self._console_url = console_url
        self._retention_days = retention_days
        self._look_seconds = look_seconds
        self._prune_at = 0.0
        self._log = get_logger()

    async def run(self, schema_verified: Callable[[], Awaitable[None]]) -> None:
        """Look for ever, once the schema is verified."""
        await schema_verified()
        while True:
            try:
                async with leader(self._pool, Lock.ALERT) as connection:
                    if connection is None:
                        self._metrics.open_alerts = None
                    else:
                        await self._look(connection)
            except LEDGER_UNAVAILABLE:  # `/readyz` and the log say that the ledger is away
                self._metrics.open_alerts = None
            except Exception:  # noqa: BLE001 - it must not end what the dispatcher does beside it
                self._log.exception("alerts.crashed")
            await asyncio.sleep(self._look_seconds)

    async def _look(self, connection: Any) -> None:
        # 1. What is there to tell?
        now = time.monotonic()
        for number, check in enumerate(self._checks):
            if now >= self._due[number]:
                self._due[number] = now + check.every_seconds
                await self._checked(connection, check)
        await settle_happenings(connection)
        # 2. Tell it.
        await messages.plan(connection, self._transport.channels.values(), self._console_url)
        claimed = await messages.claim(connection, list(self._transport.channels.values()))
        sending = [asyncio.create_task(self._transport.send(each.channel, each.notice, each.id)) for each in claimed]
        for message, task in zip(claimed, sending, strict=True):
            await self._settled(connection, message, await task)
        # 3. What people and the metrics see.
        rows = await connection.fetch(OPEN_KINDS)
        self._metrics.open_alerts = {row["kind"]: row["count"] for row in rows}
        if now >= self._prune_at:
            await messages.prune(connection, self._retention_days)
            self._prune_at = now + PRUNE_SECONDS

    async def _checked(self, connection: Any, check: Check) -> None:
        """Run one check; one that fails keeps no other one, and no message, back."""
        try:
            await check.look(connection)
        except LEDGER_UNAVAILABLE:
            raise
        except FaxhookError as error:
            self._log.warning("alerts.unchecked", code=error.code, reason=type(check).__name__)
        except Exception:  # noqa: BLE001 - our own fault in one check
            self._log.exception("alerts.crashed")

    async def _settled(self, connection: Any, message: messages.Message, outcome: Any) -> None:
        if isinstance(outcome, Told):
            await messages.note_sent(connection, message)
            self._metrics.count_alert_message("sent")
            self._log.info("alert.sent", alert_id=str(message.alert_id), kind=message.notice.kind)
            return
        wait_seconds = await messages.note_failed(connection, message, outcome.error)
        self._metrics.count_alert_message("failed")
        self._log.warning(
            "alert.failed",
            alert_id=str(message.alert_id),
            kind=message.notice.kind,
            attempt=message.attempt,
            code=outcome.error,
            is_given_up=wait_seconds is None,
        )
