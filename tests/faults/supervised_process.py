"""A service under fault as a process, which is started again when it ends, as a platform does."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import msgspec
from plan import Plan
from processes import ServiceProcess

COMPOSED = Path(__file__).with_name("composed.py")
STOP_SECONDS = 40.0
"""A service that was asked to end must have ended after so long."""


@dataclass(eq=False)
class SupervisedProcess:
    """One service that is kept running: when its process ends, another is started without a fault planned.

    Attributes:
        on_kill: Awaited after each end by SIGKILL, before the next process is started.
        ends: The exit codes so far.
    """

    kind: str
    environment: dict[str, str]
    on_kill: Callable[[], Awaitable[None]]
    process: ServiceProcess | None = None
    ends: list[int] = field(default_factory=list)
    plan: Plan = field(default_factory=Plan)
    _is_wanted: bool = True
    _supervising: asyncio.Task[None] | None = None
    _may_start: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self, plan: Plan | None = None) -> None:
        """Start a process, and another each time that it ends."""
        self._may_start.set()
        self._is_wanted = True
        self.plan = plan or Plan()
        await self._start(self.plan)
        self._supervising = asyncio.create_task(self._supervise())

    async def replace(self, plan: Plan) -> None:
        """Stop the process and start one with another plan."""
        await self.stop()
        await self.start(plan)

    async def stop(self) -> None:
        """Stop the process for good; it must exit with 0, unless it runs without a precaution."""
        self._is_wanted = False
        self._may_start.set()
        if self.process is not None and self.process.process.returncode is None:
            self.send(signal.SIGKILL if self.plan.without else signal.SIGTERM)
        if self._supervising is not None:
            done, _ = await asyncio.wait({self._supervising}, timeout=STOP_SECONDS)
            if not done:
                self.send(signal.SIGUSR1)
                await asyncio.sleep(1.0)  # it writes where it hangs
                self.send(signal.SIGKILL)
            await self._supervising
            assert done, f"{self.kind} does not end: {self.process and self.process.stderr}"

    def hold(self) -> None:
        """Do not start it again until `go_on`."""
        self._may_start.clear()

    def go_on(self) -> None:
        """Start it again when it ends, or now if it has ended."""
        self._may_start.set()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process that runs now."""
        assert self.process is not None
        if self.is_running:
            self.process.process.send_signal(number)

    @property
    def is_running(self) -> bool:
        """Does a process run now? Between the end of one and the start of the next none does."""
        return self.process is not None and self.process.process.returncode is None

    @property
    def url(self) -> str | None:
        """Where it listens; None while it does not."""
        process = self.process
        if process is None or process.process.returncode is not None or not process.logged("service.listening"):
            return None
        return f"http://127.0.0.1:{process.logged('service.listening')[0]['port']}"

    async def is_ready(self) -> bool:
        """Return whether `/readyz` answers 200."""
        if self.url is None or self.process is None:
            return False
        self.process.port = self.process.logged("service.listening")[0]["port"]
        try:
            return await self.process.is_ready()
        except OSError:
            return False

    async def measured(self, name: str) -> float:
        """Return the value of a gauge without labels."""
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/metrics") as response:
            text = await response.text()
        return next(float(line.partition(" ")[2]) for line in text.splitlines() if line.startswith(f"{name} "))

    async def _start(self, plan: Plan) -> None:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(COMPOSED),
            self.kind,
            env=inherited | self.environment | {"FAULT_PLAN": msgspec.json.encode(plan).decode()},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=16 * 1024 * 1024,
        )
        self.process = ServiceProcess(process, self.kind)

    async def _supervise(self) -> None:
        while True:
            assert self.process is not None
            code = await self.process.ended(None)
            self.ends.append(code)
            if code == -signal.SIGKILL:
                await self.on_kill()
            if not self._is_wanted:
                # A SIGTERM that comes before the service has installed its handler ends the process itself.
                expected = {0, -signal.SIGKILL} if self.process.logged("service.started") else {-signal.SIGTERM}
                assert code in expected, f"{self.kind} ended with {code}: {self.process.stderr}"
                return
            await self._may_start.wait()
            self.plan = Plan(without=self.plan.without, grace_seconds=self.plan.grace_seconds)
            await self._start(self.plan)
