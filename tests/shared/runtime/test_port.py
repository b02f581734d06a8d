"""A port that cannot be opened is one sentence that names the variable; one that can be is returned."""

import errno
import socket

import pytest
from aiohttp import web

from shared.runtime import port as port_module
from shared.runtime.port import CannotListen, open_port


@pytest.fixture
async def runner():
    runner = web.ServerRunner(web.Server(lambda _request: None))
    await runner.setup()
    yield runner
    await runner.cleanup()


async def test_any_free_port_is_opened_and_returned(runner):
    port = await open_port(runner, "INGRESS", "127.0.0.1", 0)
    socket.create_connection(("127.0.0.1", port)).close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_port_that_is_taken_is_named_with_its_variable(runner, host):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=rf"^OPS_PORT={port}: the port is taken on {host} ") as error:
            await open_port(runner, "OPS", host, port)
    assert error.value.exit_code == 78


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid", "no host", "[::1]", "h" * 70])
async def test_a_host_that_is_not_of_this_machine_is_named(runner, host):
    with pytest.raises(CannotListen) as error:
        await open_port(runner, "INGRESS", host, 0)
    assert str(error.value).startswith(f"INGRESS_HOST is wrong: `{host}` is not ")


async def test_so_it_is_where_the_error_has_no_number(runner, monkeypatch):
    async def fail(_site):
        raise OSError("could not bind on any address out of [('192.0.2.1', 0)]")  # asyncio of Python 3.13

    monkeypatch.setattr(port_module.web.TCPSite, "start", fail)
    with pytest.raises(
        CannotListen, match=r"^INGRESS_HOST is wrong: `192\.0\.2\.1` is not an address of this machine$"
    ):
        await open_port(runner, "INGRESS", "192.0.2.1", 0)


async def test_a_port_that_this_user_may_not_open_says_so(runner, monkeypatch):
    async def refuse(_site):
        raise PermissionError(errno.EACCES, "permission denied")

    monkeypatch.setattr(port_module.web.TCPSite, "start", refuse)
    with pytest.raises(CannotListen, match=r"^INGRESS_PORT=80: this user may not listen"):
        await open_port(runner, "INGRESS", "127.0.0.1", 80)
