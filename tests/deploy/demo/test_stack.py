"""The listener has one endpoint in the ledger, which each run uses again."""

import asyncpg
from dispatchers import STORE

from deploy.demo.stack import own_endpoint
from dispatcher.policy.endpoint import Endpoint
from shared.ids import uuid7


async def test_the_listener_s_endpoint_is_used_again_moved_and_never_piles_up(database_url):
    async with asyncpg.create_pool(database_url, min_size=1, max_size=2) as pool:
        other = Endpoint(id=uuid7(), url="http://127.0.0.1:9/hook", tokens=("t",))
        await STORE.insert(pool, other)
        first = await own_endpoint(database_url, STORE, "http://127.0.0.1:1/make-run", "t", 8)
        moved = await own_endpoint(database_url, STORE, "http://127.0.0.1:2/make-run", "t", 8)
        assert moved.id == first.id
        another = await own_endpoint(database_url, STORE, "http://127.0.0.1:2/make-run", "other token", 8)
        assert another.id != first.id
        found = {endpoint.id: endpoint.url for endpoint in await STORE.everything(pool)}
    assert found == {other.id: other.url, another.id: "http://127.0.0.1:2/make-run"}
