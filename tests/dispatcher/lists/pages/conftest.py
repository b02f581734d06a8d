"""A client of our own provider, whose pages hold two faxes."""

from collections.abc import AsyncIterator

import pytest
from provider_fax import WORDS

from dispatcher.egress.client import EgressClient
from dispatcher.egress.guard import parse_networks
from dispatcher.lists.apis import base


@pytest.fixture(autouse=True)
def _two_on_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in WORDS:
        monkeypatch.setattr(f"dispatcher.lists.apis.{name}.PAGE_SIZE", 2)
    assert base.PAGE_SIZE > 2


@pytest.fixture
async def egress() -> AsyncIterator[EgressClient]:
    client = EgressClient(parse_networks(["127.0.0.0/8"]))
    yield client
    await client.close()
