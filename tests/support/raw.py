"""TCP servers whose handler writes bytes: for answers that an HTTP server would never send."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw_server(handle: Handle, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[asyncio.Server]:
    """Serve until the body ends; a handler that is not done by then is cancelled, and every connection closed."""
    handlers: set[asyncio.Task[None]] = set()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                await handle(reader, writer)
        finally:
            writer.close()
            try:
                with suppress(ConnectionError, asyncio.CancelledError):
                    await writer.wait_closed()
            finally:
                handlers.discard(task)

    server = await asyncio.start_server(run, host, port)
    try:
        yield server
    finally:
        server.close()
        await asyncio.sleep(0)  # a connection just taken gets its handler
        for task in tuple(handlers):
            task.cancel()
        while handlers:
            await asyncio.wait(tuple(handlers))


def port_of(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])
