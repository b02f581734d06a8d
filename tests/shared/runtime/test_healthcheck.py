"""The health check of a container says whether the service in it is ready, and exits 0 only then."""

import asyncio
import subprocess
import sys

import pytest
from aiohttp import web

from shared.runtime.healthcheck import ADDRESSES, address


@pytest.fixture
async def answering():
    """Serve `/readyz` with the status that it is called with; return the port."""
    runners = []

    async def serve(status):
        async def readyz(_request):
            return web.json_response({"status": "as told"}, status=status)

        app = web.Application()
        app.router.add_get("/readyz", readyz)
        runners.append(web.AppRunner(app))
        await runners[-1].setup()
        await web.TCPSite(runners[-1], "127.0.0.1", 0).start()
        return runners[-1].addresses[0][1]

    yield serve
    for runner in runners:
        await runner.cleanup()


async def check(service, **environment):
    command = [sys.executable, "-m", "shared.runtime.healthcheck", service]
    return await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, check=False, timeout=30
    )


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (404, 1), (204, 1)])
@pytest.mark.parametrize(("service", "variable"), [("ingress", "INGRESS_PORT"), ("dispatcher", "OPS_PORT")])
async def test_ready_is_200_and_nothing_else(answering, service, variable, status, code):
    ended = await check(service, **{variable: str(await answering(status))})
    assert ended.returncode == code
    if status != 204:
        assert "as told" in ended.stdout


async def test_no_answer_is_not_ready_and_names_the_port():
    ended = await check("ingress", INGRESS_PORT="1")
    assert ended.returncode == 1
    assert ended.stdout.startswith("no answer on 127.0.0.1 port 1: ")


async def test_a_service_that_there_is_not_is_not_ready():
    assert (await check("neither")).returncode == 1


@pytest.mark.parametrize("service", ADDRESSES)
def test_an_address_to_listen_on_all_interfaces_is_asked_on_loopback(service):
    host_name, port_name, default = ADDRESSES[service]
    assert address(service, {}) == ("127.0.0.1", default)
    assert address(service, {host_name: "0.0.0.0"}) == ("127.0.0.1", default)  # noqa: S104
    assert address(service, {host_name: "::", port_name: "9"}) == ("::1", 9)
    assert address(service, {host_name: "10.0.0.1", port_name: "9"}) == ("10.0.0.1", 9)
