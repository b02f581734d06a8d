"""The bench's modules are scripts beside each other: its tests import them as the scripts do."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

collect_ignore = ["peers/aiohttp_aio_pika.py", "peers/fastapi_faststream.py"]
"""Run in an environment of their own, with libraries that are not here; `--doctest-modules` would import them."""
