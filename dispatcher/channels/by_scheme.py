"""Opens the channel for each scheme that an endpoint's URL may have."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

from dispatcher.channels.base import Channel
from dispatcher.channels.mail.address import Mailbox, Relay
from dispatcher.channels.mail.channel import MailChannel, NoMailChannel
from dispatcher.channels.webhook import WebhookChannel
from dispatcher.egress.client import EgressClient


def open_channels(
    stack: AsyncExitStack,
    client: EgressClient,
    mail: tuple[Relay, Mailbox] | None,
    trace_headers: Callable[[], Mapping[str, str]] = dict,
) -> dict[str, Channel]:
    """Return the channel for each scheme; what is opened for them closes with *stack*.

    Args:
        stack: Closed by the caller, before *client*.
        client: What webhooks are sent with.
        mail: The relay and the sender of all mail; None: mails are not tried.
        trace_headers: See `WebhookChannel`.
    """
    webhooks = WebhookChannel(client, trace_headers)
    channels: dict[str, Channel] = {"http": webhooks, "https": webhooks, "mailto": NoMailChannel()}
    if mail is not None:
        channels["mailto"] = mails = MailChannel(*mail)
        stack.push_async_callback(mails.close)
    return channels
