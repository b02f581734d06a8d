"""Sends one message to one channel: a mail through the relay, or a signed POST under the egress rules.

Never through the broker, which may be what is broken; over connections of its own, so that a relay or an application
that hangs holds up no message.
"""

from typing import Final
from uuid import UUID

from dispatcher.alerts.words import Notice, mail_of, webhook_of
from dispatcher.channels.mail.address import Mailbox, Relay, address_of
from dispatcher.channels.mail.channel import MailChannel
from dispatcher.channels.outcome import NotTried, Outcome
from dispatcher.channels.webhook import WebhookChannel
from dispatcher.configuration.alerts import AlertChannel, Alerting
from dispatcher.egress.client import EgressClient
from dispatcher.egress.target import posted_url
from shared.domain import utc_now

SEND_SECONDS: Final = 20.0
"""For a message, its answer included."""


class Transport:
    """Sends messages; `close` it. The code that opened *client* closes that."""

    def __init__(self, alerting: Alerting, client: EgressClient, mail: tuple[Relay, Mailbox] | None) -> None:
        self.channels = {channel.key: channel for channel in alerting.channels}
        self._secrets = alerting.secrets
        self._webhooks = WebhookChannel(client)
        self._mail_from = None if mail is None else mail[1]
        self._mails = None if mail is None else MailChannel(*mail)

    async def close(self) -> None:
        """Wait until the relay has answered each QUIT."""
        if self._mails is not None:
            await self._mails.close()

    async def send(self, channel: AlertChannel, notice: Notice, message_id: UUID) -> Outcome:
        """Make one try; raises nothing but cancellation."""
        now = utc_now()
        if not channel.is_mail:
            headers, body = webhook_of(notice, message_id, self._secrets, now)
            return await self._webhooks.post(channel.url, posted_url(channel.url), body, headers, SEND_SECONDS)
        if self._mails is None or self._mail_from is None:
            return NotTried(error="smtp_not_configured")
        message = mail_of(notice, message_id, address_of(channel.url), self._mail_from, now)
        return await self._mails.send(channel.url, message, SEND_SECONDS)
