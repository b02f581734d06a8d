"""A list that is not given, or asked for too often, is reported; it is never read as no faxes."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web
from dispatchers import DispatcherHarness
from list_provider import SECRETS, ListProvider, html
from list_readings import read_again, readings
from structlog.testing import capture_logs
from waiting import until

from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]


async def answers_401(_request: web.Request) -> web.StreamResponse:
    return web.json_response({"error": "no"}, status=401)


async def answers_html(_request: web.Request) -> web.StreamResponse:
    return html()


async def answers_nothing_that_is_a_list(_request: web.Request) -> web.StreamResponse:
    return web.json_response({})


async def redirects(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": "https://login.example.com/"})


async def asks_for_an_hour(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=429, headers={"Retry-After": "3600"})


@pytest.mark.parametrize(
    ("disturb", "sentence"),
    [
        (answers_401, "refuses the key (401): set PHAXIO_API_KEY and PHAXIO_API_KEY_SECRET anew"),
        (answers_html, "answered HTML that is not its list of faxes: does PHAXIO_API_URL lead to its API?"),
        (answers_nothing_that_is_a_list, "answered something that is not its list of faxes"),
        (redirects, "answers 302 instead of its list"),
        (asks_for_an_hour, "answers 429 and asks to wait 3600 s"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_list_that_is_not_given_is_reported_and_is_never_read_as_no_faxes(
    harness: DispatcherHarness,
    dispatching: Dispatching,
    provider: ListProvider,
    often: dict[str, str],
    disturb: Any,
    sentence: str,
) -> None:
    provider.fax("phaxio", 1, "fax.delivered")
    provider.disturb = disturb
    only_phaxio = {name: value for name, value in often.items() if not name.startswith(("TELNYX_API_K", "SINCH_"))}
    with capture_logs() as logs:
        async with dispatching(**only_phaxio):
            await until(lambda: readings(harness.pool, "phaxio", "failed"), "a failed reading")
            row = (await readings(harness.pool, "phaxio", "failed"))[0]
            assert sentence in row["reason"]
            assert (row["seen"], row["missing"]) == (0, 0)
            assert await harness.pool.fetchval("SELECT count(*) FROM list_readings WHERE outcome = 'done'") == 0
            if disturb is asks_for_an_hour:
                left = await harness.pool.fetchval(
                    "SELECT extract(epoch FROM max(not_before) - now()) FROM list_readings"
                )
                assert 3_000 < left <= 3_600
            else:
                provider.disturb = None
                await harness.events(1)
    assert [line for line in logs if line["event"] == "list.failed" and sentence in line["reason"]]
    assert not [secret for secret in SECRETS if secret in repr(logs)]


async def test_two_dispatchers_ask_a_provider_no_more_often_than_one(
    harness: DispatcherHarness, provider: ListProvider, often: dict[str, str], unused_tcp_port_factory: Any
) -> None:
    async with (
        harness.dispatching(unused_tcp_port_factory(), **often | {"RECONCILE_EVERY": "3s"}),
        harness.dispatching(unused_tcp_port_factory(), **often | {"RECONCILE_EVERY": "3s"}),
    ):
        await read_again(harness.pool, "telnyx")
        await read_again(harness.pool, "telnyx")
    began = [row["started_at"] for row in await readings(harness.pool, "telnyx")]
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(began)]
    assert all(gap >= 3.0 for gap in gaps)
