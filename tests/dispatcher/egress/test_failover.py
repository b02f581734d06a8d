"""The second URL of an endpoint is under the same egress rules as the first."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from dispatchers import DispatcherHarness, an_event
from raw import port_of, raw_server
from waiting import until

from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]


async def test_a_failover_on_an_inner_address_is_never_connected_to(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    connected: list[str] = []

    async def handle(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        connected.append("other")

    async with raw_server(handle, "127.0.0.2") as inner:
        # Set before the rules were what they are now, or past the check that refuses it today.
        await harness.endpoint(failover_url=f"http://127.0.0.2:{port_of(inner)}/")
        harness.receiver.answer = lambda _received: 500
        await harness.publish(an_event(1))
        async with dispatching(EGRESS_ALLOW_NETWORKS="127.0.0.1/32"):
            query = "SELECT count(*) FROM attempts"
            await until(lambda: harness.pool.fetchval(query), "attempted")
    assert await harness.pool.fetchval("SELECT error FROM attempts") == "egress_refused"
    assert len(harness.receiver.received) == 1
    assert connected == []
