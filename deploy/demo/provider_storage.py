"""The demo's stand-in for a provider's storage: one document, at the URL that the Telnyx samples name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from deploy.services.processes import LOOPBACK
from dispatcher.ops.simulator.documents import sample_pdf

PATH: Final = "/received.pdf"


@asynccontextmanager
async def serving_document(port: int) -> AsyncIterator[None]:
    """Serve the document on *port* until the body is left."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=sample_pdf("A sample fax, fetched from its provider"), content_type="application/pdf")

    app = web.Application()
    app.router.add_get(PATH, answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, port).start()
        yield
    finally:
        await runner.cleanup()


def document_url(port: int) -> str:
    """Return its URL."""
    return f"http://{LOOPBACK}:{port}{PATH}"
