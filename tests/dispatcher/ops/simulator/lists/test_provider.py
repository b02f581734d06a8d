"""The simulated provider's lists are those that faxhook reads: what no callback told is found there, with its document."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest
from aiohttp import ClientSession, web
from apis import faxhook
from dispatchers import DispatcherHarness
from processes import SECRETS

from dispatcher.ops.simulator.lists.provider import EVENTS, SimulatedProvider, environment, make_fax
from dispatcher.ops.simulator.samples import make_sample
from dispatcher.ops.simulator.settings import SimulateSettings
from shared.callback import Callback, Verified
from shared.domain import Provider, decode_event, utc_now
from shared.providers import make_parsers
from shared.runtime.service import Stop
from shared.settings import load

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]

PROVIDERS = ("phaxio", "telnyx", "sinch")
SEED = {"TELNYX_SIMULATE_SEED": "4CMw19gXfEdG9XQ1uAsHCCXB3VU2NuA7iGLRvZBq/8U="}


@pytest.fixture
async def port(unused_tcp_port_factory: Callable[[], int]) -> int:
    return unused_tcp_port_factory()


@pytest.fixture
async def provider(port: int) -> AsyncIterator[SimulatedProvider]:
    simulated = SimulatedProvider()
    runner = web.AppRunner(simulated.application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield simulated
    await runner.cleanup()


async def test_what_no_callback_told_is_found_and_told_with_the_event_of_its_callback(
    harness: DispatcherHarness, dispatching: Dispatching, provider: SimulatedProvider, port: int
) -> None:
    await harness.endpoint(format="standard-v1")
    now = utc_now()
    provider.faxes = [make_fax(name, event, now) for name in PROVIDERS for event in sorted(set(EVENTS))]
    async with dispatching(**environment(port), RECONCILE_EVERY="1s", RECONCILE_GRACE="0s"):
        await harness.receiver.got(len(provider.faxes))
    rows = await harness.pool.fetch("SELECT body FROM events")
    events = {event.fax_id: event for event in (decode_event(row["body"]) for row in rows)}
    settings = load(SimulateSettings, SECRETS | SEED)
    assert set(events) == {fax.fax_id for fax in provider.faxes}
    for fax in provider.faxes:
        event = events[fax.fax_id]
        sample = make_sample(
            settings, "", fax.provider, fax.event, fax_id=fax.fax_id, occurred_at=fax.finished_at
        )  # fmt: skip
        received = Callback(
            route=sample.path, target=sample.target, query={}, headers=sample.headers, body=sample.body, received_at=now
        )
        told = make_parsers(None)[Provider(fax.provider)].parse(received, Verified(by="test")).event
        assert (event.type, event.origin, event.from_number) == (told.type, "list", told.from_number)
        assert (event.media is not None) == (fax.event == "received")
        if fax.provider != "telnyx":  # its list has no ids of events
            assert event.id == told.id


async def test_without_the_key_it_refuses_and_what_is_not_there_is_not_found(
    provider: SimulatedProvider, port: int
) -> None:
    async with ClientSession(f"http://127.0.0.1:{port}") as http:
        async with http.get("/v2/faxes") as answer:
            assert answer.status == 401
        for path in ("/v2/faxes/none", "/storage/none", "/v2/faxes?page[number]=x"):
            async with http.get(path, headers={"Authorization": "Bearer simulated"}) as answer:
                assert answer.status in {400, 404}, path


async def test_the_command_prints_the_settings_of_a_dispatcher_and_refuses_bad_input() -> None:
    code, out, _ = await faxhook({}, "simulate-provider", "--print-env", "--port", "9000")
    assert code == 0
    assert dict(line.split("=") for line in out.split()) == environment(9000)
    code, _, err = await faxhook({}, "simulate-provider")
    assert (code, "TELNYX_SIMULATE_SEED" in err) == (78, True)
    assert (await faxhook(SECRETS | SEED, "simulate-provider", "--to", "ftp://x"))[0] == 65
    assert (await faxhook(SECRETS | SEED, "simulate-provider", "--drop", "101"))[0] == 65
