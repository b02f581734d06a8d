"""`/v1/endpoints` of a dispatcher behind a proxy: names are taken unresolved, inner addresses are refused."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import aiohttp

from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]


async def test_a_name_that_cannot_be_resolved_here_is_taken_and_an_inner_address_is_not(
    dispatching: Dispatching, unused_tcp_port: int
) -> None:
    async with (
        dispatching(OPS_TOKEN="ops-token", EGRESS_PROXY="http://127.0.0.1:1"),
        aiohttp.ClientSession(headers={"Authorization": "Bearer ops-token"}) as http,
    ):
        for url, status in (("https://only.the-proxy.knows.invalid/", 201), ("http://10.0.0.1/", 422)):
            async with http.post(f"http://127.0.0.1:{unused_tcp_port}/v1/endpoints", json={"url": url}) as response:
                assert response.status == status, url
