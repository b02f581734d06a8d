"""An ingress that a test talks to."""

from dataclasses import dataclass
from pathlib import Path

import aiohttp


@dataclass
class RunningIngress:
    """A served ingress and what it was started with."""

    url: str
    media: Path
    http: aiohttp.ClientSession

    async def is_ready(self) -> bool:
        try:
            async with self.http.get(f"{self.url}/readyz") as response:
                return response.status == 200
        except aiohttp.ClientConnectorError:
            return False
