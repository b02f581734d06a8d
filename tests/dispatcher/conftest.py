"""A pool on a fresh ledger."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from dispatcher.ledger import open_pool


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    opened = await open_pool(database_url)
    yield opened
    await opened.close()
