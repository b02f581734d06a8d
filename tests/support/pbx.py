"""A PBX: its folders, and its reporter as a process."""

import asyncio
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

TIFF = b"II*\0" + b"\0" * 100
NUMBER, CALL = "+15559870000", "pbx1-1603261234.9"


@dataclass
class Pbx:
    """An Asterisk's folders and the environment of its reporter."""

    faxes: Path
    reports: Path
    reporter: Path
    environment: dict[str, str]
    python: str = sys.executable

    def tiff(self, name: str = f"{NUMBER}_{CALL}.tiff", *, seconds_ago: float = 0.0, content: bytes = TIFF) -> Path:
        path = self.faxes / name
        path.write_bytes(content)
        then = time.time() - seconds_ago
        os.utime(path, (then, then))
        return path

    def waiting(self) -> list[Path]:
        return sorted(self.reports.glob("*.form"))

    def due_now(self) -> None:
        for path in self.waiting():
            os.utime(path, (0, 0))

    async def start(self, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(self.python, "-I", str(self.reporter), *arguments),
            env={"PATH": os.environ["PATH"], **self.environment, **environment},
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Run the reporter as Asterisk does: AGI's variables on its input, which is never closed first."""
        process = await self.start(*arguments, **environment)
        _, stderr = await process.communicate(b"agi_request: faxhook-report\nagi_channel: PJSIP/a\n\n")
        assert process.returncode is not None
        return process.returncode, stderr.decode()


def report_of(tiff: Path | None, **fields: str) -> str:
    values = {"uniqueid": CALL, "to_number": NUMBER, "from_number": "", "faxstatus": "SUCCESS", "faxpages": "2"}
    return urlencode({"tiff_path": str(tiff or ""), **values, **fields})
