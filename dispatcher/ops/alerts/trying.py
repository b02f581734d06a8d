"""A test message by each of ALERT_URLS, now; nothing is recorded."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import msgspec

from dispatcher.alerts.transport import Transport
from dispatcher.alerts.words import Notice
from dispatcher.channels.mail.address import Mailbox, Relay
from dispatcher.channels.outcome import Told
from dispatcher.configuration.alerts import Alerting
from dispatcher.egress.client import EgressClient
from dispatcher.egress.guard import Network
from shared.domain import utc_now
from shared.ids import uuid7


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a test message; *error* is null if it was sent."""

    channel: str
    is_sent: bool
    error: str | None


class _Settings(Protocol):
    """What the dispatcher and `faxhook alerts test` both read."""

    def alerting(self) -> Alerting: ...
    def allowed_networks(self) -> Sequence[Network]: ...
    def proxy(self) -> str | None: ...
    def mail(self) -> tuple[Relay, Mailbox] | None: ...


class WaysToOperator(msgspec.Struct, frozen=True, kw_only=True):
    """What the settings say of the ways to the operator."""

    alerting: Alerting
    networks: Sequence[Network]
    proxy: str | None
    mail: tuple[Relay, Mailbox] | None

    @classmethod
    def of(cls, settings: _Settings) -> "WaysToOperator":
        """Return what *settings* say."""
        return cls(
            alerting=settings.alerting(),
            networks=settings.allowed_networks(),
            proxy=settings.proxy(),
            mail=settings.mail(),
        )

    async def try_all(self, by: str) -> list[Tried]:
        """Send a test message by each at once; *by* says in it what sent it."""
        client = EgressClient(self.networks, self.proxy)
        transport = Transport(self.alerting, client, self.mail)
        now = utc_now()
        notice = Notice(
            alert_id=uuid7(),
            told_as="test",
            kind="test",
            subject="test",
            title="an alert",
            what="This is what faxhook sends when something is wrong",
            advice=f"Nothing: it was sent by {by}.",
            count=1,
            opened_at=now,
            last_at=now,
        )
        channels = list(transport.channels.values())
        try:
            outcomes = await asyncio.gather(*(transport.send(channel, notice, uuid7()) for channel in channels))
        finally:
            await transport.close()
            await client.close()
        return [
            Tried(
                channel=channel.shown,
                is_sent=isinstance(outcome, Told),
                error=None if isinstance(outcome, Told) else outcome.error,
            )
            for channel, outcome in zip(channels, outcomes, strict=True)
        ]
