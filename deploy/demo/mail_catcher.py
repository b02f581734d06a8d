"""The mail catcher of `make run`: an SMTP server that takes every mail and delivers none."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope

from deploy.services.processes import LOOPBACK


class Catcher:
    """Prints a line for each mail."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Accept a mail."""
        content = envelope.content or b""
        message = message_from_bytes(content if isinstance(content, bytes) else content.encode(), policy=policy.default)
        attached = [part.get_filename() or part.get_content_type() for part in message.iter_attachments()]
        line = f"to {', '.join(envelope.rcpt_tos)}: {message.get('Subject') or '(no subject)'}"
        self._say(line + (f" (attached: {', '.join(attached)})" if attached else ""))
        return "250 caught"


@asynccontextmanager
async def catching_mail(say: Callable[[str], None]) -> AsyncIterator[str]:
    """Serve on a free port; yield the `SMTP_URL`."""
    catcher = Catcher(say)
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(catcher, hostname="localhost", enable_SMTPUTF8=True), LOOPBACK, 0
    )
    try:
        yield f"smtp://{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()
