"""The documents' number of connections to the ledger, from which people set `max_connections`, is the code's."""

import re
from pathlib import Path

import pytest

from dispatcher.__main__ import BACKGROUND_POOL_SIZE
from dispatcher.ledger.pool import POOL_SIZE
from dispatcher.ops.dead.service import POOL_SIZE as OPERATIONS_POOL_SIZE

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["docs/capacity.md", "docs/operating.md", "CHANGELOG.md"])
def test_a_dispatcher_opens_as_many_connections_as_the_documents_say(name: str) -> None:
    text = " ".join((ROOT / name).read_text().split())
    (said,) = re.findall(r"dispatcher (?:process )?(?:opens|wants|uses) up to (\d+) connections", text)
    assert int(said) == POOL_SIZE + BACKGROUND_POOL_SIZE + OPERATIONS_POOL_SIZE
