"""Each scheme of an endpoint's URL has its channel; without a relay mails are not tried, and webhooks go on."""

from contextlib import AsyncExitStack

from mails import an_attempt
from mailserver import relaying
from receiver import Receiver

from dispatcher.channels.by_scheme import open_channels
from dispatcher.channels.mail.address import Mailbox, parse_relay
from dispatcher.channels.outcome import NotTried, Told
from dispatcher.egress.client import EgressClient
from dispatcher.egress.guard import parse_networks


def open_client(stack: AsyncExitStack) -> EgressClient:
    client = EgressClient(parse_networks(["127.0.0.0/8"]))
    stack.push_async_callback(client.close)
    return client


async def test_webhooks_and_mails_go_out_by_scheme_and_the_relays_connections_close_with_the_stack(
    receiver: Receiver,
) -> None:
    async with relaying() as relay, AsyncExitStack() as stack:
        mail = parse_relay(f"smtp://127.0.0.1:{relay.port}"), Mailbox("fax@example.net", "Faxes")
        channels = open_channels(stack, open_client(stack), mail)
        assert set(channels) == {"http", "https", "mailto"}
        assert isinstance(await channels["http"].attempt(an_attempt(url=receiver.url)), Told)
        assert isinstance(await channels["mailto"].attempt(an_attempt()), Told)
        await stack.aclose()
        assert relay.commands[-1] == "QUIT"
    assert (len(receiver.received), len(relay.mails)) == (1, 1)


async def test_without_a_relay_only_mails_are_not_tried(receiver: Receiver) -> None:
    async with AsyncExitStack() as stack:
        channels = open_channels(stack, open_client(stack), None)
        assert isinstance(await channels["http"].attempt(an_attempt(url=receiver.url)), Told)
        assert await channels["mailto"].attempt(an_attempt()) == NotTried(error="smtp_not_configured")
