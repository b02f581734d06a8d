"""The channels for the schemes of endpoints' URLs, opened by settings; whoever tells applications needs them."""

from contextlib import AsyncExitStack

from dispatcher.channels.base import Channel
from dispatcher.channels.mail.channel import MailChannel, NoMailChannel
from dispatcher.channels.webhook import WebhookChannel
from dispatcher.egress.client import EgressClient
from dispatcher.settings import ChannelSettings


def open_channels(stack: AsyncExitStack, settings: ChannelSettings, way_out: EgressClient) -> dict[str, Channel]:
    """Return the channel for each scheme; what is opened for them closes with *stack*."""
    webhooks = WebhookChannel(way_out)
    channels: dict[str, Channel] = {"http": webhooks, "https": webhooks, "mailto": NoMailChannel()}
    if mail := settings.mail():
        relay, mail_from = mail
        channels["mailto"] = mails = MailChannel(relay, mail_from)
        stack.push_async_callback(mails.close)
    return channels
