"""Attempts at a mail, and a channel to make them with."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from dispatchers import RECEIVED_AT, an_event
from mailserver import Relay, relaying

from dispatcher.channels import Attempt
from dispatcher.channels.mail.address import Mailbox, parse_relay
from dispatcher.channels.mail.channel import MailChannel

DELIVERY_ID = UUID("01999d3c-8a40-7c11-9d0e-0f4b7f6a9e51")
URL = "mailto:faxes%2Bin@example.com"


def an_attempt(**fields: Any) -> Attempt:
    fixed = {
        "event": an_event(1),
        "document": None,
        "url": URL,
        "format": "phaxio-v2.1",
        "tokens": (),
        "timeout_seconds": 5.0,
        "delivery_id": DELIVERY_ID,
        "command_id": "00000000-0000-5000-8000-000000000000",
        "number": 1,
        "now": RECEIVED_AT,
    }
    return Attempt(**{**fixed, **fields})


@asynccontextmanager
async def mailing(url: str, tls_context: Any = None) -> AsyncIterator[MailChannel]:
    channel = MailChannel(parse_relay(url), Mailbox("fax@example.net", "Faxes"), tls_context)
    try:
        yield channel
    finally:
        await channel.close()


@asynccontextmanager
async def both(**options: Any) -> AsyncIterator[tuple[Relay, MailChannel]]:
    async with relaying(**options) as relay, mailing(f"smtp://127.0.0.1:{relay.port}") as channel:
        yield relay, channel


async def silence(_relay: Relay, _server: Any) -> str:
    """Hook: no answer, ever."""
    await asyncio.Event().wait()
    return ""
