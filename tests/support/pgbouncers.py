"""A PgBouncer of our own before the tests' PostgreSQL, in any mode and with any setting."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from waiting import until

from deploy.services.processes import free_port

PROGRAM = "/usr/sbin/pgbouncer"
USER = "nobody"
"""Runs it where we are root: it refuses to run as root."""


class PgBouncer:
    """A running PgBouncer; *url* leads through it to the database of *database_url*, with the same user."""

    def __init__(self, folder: Path, database_url: str, settings: dict[str, str]) -> None:
        parts = urlsplit(database_url)
        self.port = free_port()
        self.url = urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{self.port}"))
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        (folder / "users").write_text(f'"{parts.username}" "{parts.password}"\n')
        if os.geteuid() == 0:
            shutil.chown(folder / "users", USER)
        self.configure({"listen_port": str(self.port), "target": f"{parts.hostname}:{parts.port}", **settings})

    def configure(self, settings: dict[str, str]) -> None:
        """Write the configuration: its defaults but for what must be, and *settings*."""
        self._settings = getattr(self, "_settings", {}) | settings
        host, _, port = self._settings["target"].partition(":")
        lines = {
            "listen_addr": "127.0.0.1",
            "auth_type": "scram-sha-256",
            "auth_file": str(self._folder / "users"),
            "unix_socket_dir": "",
            **{name: value for name, value in self._settings.items() if name != "target"},
        }
        text = "".join(f"{name} = {value}\n" for name, value in lines.items())
        (self._folder / "pgbouncer.ini").write_text(f"[databases]\n* = host={host} port={port}\n[pgbouncer]\n{text}")

    async def start(self) -> None:
        """Start it and wait until it takes connections."""
        as_user = ["-u", USER] if os.geteuid() == 0 else []
        self._process = await asyncio.create_subprocess_exec(
            *(PROGRAM, "-q", *as_user, str(self._folder / "pgbouncer.ini")), stderr=asyncio.subprocess.DEVNULL
        )
        await until(self._listens, "PgBouncer listens")

    def reload(self) -> None:
        """Have it read its configuration again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    async def stop(self) -> None:
        """End it at once: every connection through it is lost."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            await self._process.wait()

    async def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.returncode is None, "PgBouncer ended"
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True


@asynccontextmanager
async def pooled(database_url: str, **settings: str) -> AsyncIterator[PgBouncer]:
    """Yield a PgBouncer with *settings* before the server of *database_url*. Skip without PgBouncer, fail in CI."""
    if not Path(PROGRAM).exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs PgBouncer: Debian's package pgbouncer")
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
    folder.chmod(0o755)
    bouncer = PgBouncer(folder, database_url, settings)
    try:
        await bouncer.start()
        yield bouncer
    finally:
        await bouncer.stop()
        shutil.rmtree(folder)


async def sessions_of(database_url: str) -> int:
    """Return how many server processes work for the database, the one that asks not counted."""
    connection = await asyncpg.connect(database_url)
    try:
        counted = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        return int(await connection.fetchval(counted))
    finally:
        await connection.close()
