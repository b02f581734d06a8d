"""The services as processes, as they run in production."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
from waiting import until

SECRETS = {
    "PUBLIC_URL": "https://hooks.example.com",
    "PHAXIO_CALLBACK_TOKEN": "0123456789",
    "PHAXIO_API_SECRET": "phaxio-api-secret",
    "TELNYX_PUBLIC_KEY": "p2MMG3HvZ/S4XHK1ncNzfwfJ0+bw3XUBlHS2PL/Z718=",
    "SINCH_INBOUND_BASIC_USER": "sinch",
    "SINCH_INBOUND_BASIC_PASS": "s3cret:with:colons",
    "ASTERISK_INBOUND_SECRET": "sekret",
}
"""The test secrets that the samples are signed with."""


class ServiceProcess:
    """One running service and the log lines it wrote."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self.process = process
        self.name = name
        self.lines: list[dict[str, Any]] = []
        self._log = bytearray()
        self.stderr = ""
        self.port = 0
        self._readers = [asyncio.create_task(self._read_log()), asyncio.create_task(self._read_stderr())]

    @property
    def text(self) -> str:
        """The log as it came."""
        return self._log.decode()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line.get("event") == event]

    async def listening(self) -> None:
        if self.port:  # known beforehand
            await until(self._answers, f"{self.name} up")
            return
        await until(lambda: self.logged("service.listening") or self.process.returncode is not None, f"{self.name} up")
        assert self.process.returncode is None, f"{self.name} ended: {self.stderr}"
        self.port = self.logged("service.listening")[0]["port"]

    async def _answers(self) -> bool:
        assert self.process.returncode is None, f"{self.name} ended: {self.stderr}"
        try:
            await self.is_ready()
        except aiohttp.ClientConnectorError:
            return False
        return True

    async def is_ready(self) -> bool:
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/readyz") as response:
            return response.status == 200

    async def ready(self, seconds: float = 20.0) -> "ServiceProcess":
        await self.listening()
        await until(self.is_ready, f"{self.name} ready", seconds)
        return self

    async def ended(self, seconds: float | None = 20.0) -> int:
        async with asyncio.timeout(seconds):
            code = await self.process.wait()
        await asyncio.wait(self._readers)
        return code

    def kill(self) -> None:
        """As a crash does: SIGKILL."""
        self.process.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def _read_log(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self._log += line
            if line.startswith(b"{"):  # else it is written for people
                self.lines.append(msgspec.json.decode(line))

    async def _read_stderr(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.stderr += line.decode()


async def start(module: str, environment: dict[str, str]) -> ServiceProcess:
    """Start `python -m <module>` with nothing but *environment* and what Python needs.

    Where it logs for people, its port must be given: it cannot be read from the log then.
    """
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        env=inherited | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=16 * 1024 * 1024,
    )
    service = ServiceProcess(process, module)
    port = environment.get("INGRESS_PORT" if module == "ingress" else "OPS_PORT", "")
    service.port = int(port) if port.isdigit() else 0
    return service


@asynccontextmanager
async def running(module: str, environment: dict[str, str]) -> AsyncIterator[ServiceProcess]:
    """Run a service for a test; afterwards it ends by SIGTERM and must have ended well."""
    service = await start(module, environment)
    try:
        yield await service.ready()
    except BaseException:
        if service.process.returncode is None:
            service.kill()
        await service.ended()
        sys.stderr.write(f"--- {module}: {service.stderr}\n" + "\n".join(map(str, service.lines[-40:])) + "\n")
        raise
    if service.process.returncode is None:
        service.terminate()
        assert await service.ended(30) == 0, service.stderr
