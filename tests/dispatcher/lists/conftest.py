"""A provider of ours, and the settings with which a dispatcher reads its lists often."""

from collections.abc import AsyncIterator

import pytest
from list_provider import ListProvider, providing


@pytest.fixture
async def provider() -> AsyncIterator[ListProvider]:
    """Telnyx, Phaxio and Sinch at one address, without faxes."""
    async with providing() as running:
        yield running


@pytest.fixture
def often(provider: ListProvider) -> dict[str, str]:
    """The settings of a dispatcher that reads the three lists once a second, without a grace."""
    return {**provider.environment, "RECONCILE_EVERY": "1s", "RECONCILE_GRACE": "0s"}
