"""A client of the ops API, and the command line in this process."""

import asyncio
from typing import Any

import aiohttp
from typer.testing import CliRunner

import dispatcher.ops.terminal  # noqa: F401 - its console takes a width from COLUMNS once, when it is imported
from dispatcher.ops.cli import app

TOKENS = {"OPS_TOKEN": "ops-token", "OPS_READ_TOKEN": "read-token"}
OPERATOR, READER = ({"Authorization": f"Bearer {token}"} for token in TOKENS.values())


class Api:
    """A client with a token; an answer of 400 and above must be a problem document."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] = OPERATOR
    ) -> tuple[int, dict[str, Any]]:
        async with self._http.request(method, self._url + path, json=body, headers=headers) as response:
            if response.status >= 400:
                assert response.content_type == "application/problem+json"
            return response.status, await response.json(content_type=None)

    async def read(self, path: str, headers: dict[str, str] = OPERATOR) -> tuple[int, str, bool]:
        """Return the status, the text, and whether the answer was complete."""
        text = b""
        async with self._http.get(self._url + path, headers=headers) as response:
            try:
                async for piece in response.content.iter_any():
                    text += piece
            except aiohttp.ClientPayloadError:
                return response.status, text.decode(), False
        return response.status, text.decode(), True


async def faxhook(environment: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    """Run a command in a thread, where it has a loop of its own; return its exit code and what it said."""
    result = await asyncio.to_thread(CliRunner().invoke, app, list(arguments), env=environment)
    return result.exit_code, result.stdout, result.stderr
