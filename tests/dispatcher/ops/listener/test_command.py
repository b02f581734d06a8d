"""`faxhook listen` as a person starts it: its lines, its exit codes, and how it goes wrong when told to."""

import asyncio
import signal
import socket
import sys

import aiohttp
import msgspec
import pytest
from listened_webhooks import TOKEN, rendered
from yarl import URL

from dispatcher.ops.listener.listen import Listened, Started


async def start(*arguments):
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "dispatcher.ops", "listen", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_the_command_prints_a_json_line_for_each_webhook_and_ends_well(how):
    process = await start("--token", TOKEN, "--json")
    url = msgspec.json.decode(await process.stdout.readline(), type=Started).listening
    async with aiohttp.ClientSession() as session:
        async with session.post(url, **rendered(url)) as response:
            assert response.status == 200
        heard = msgspec.json.decode(await process.stdout.readline(), type=Listened)
        host, port = URL(url).host, URL(url).port
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GARBAGE\r\n\r\n")
        assert b"400" in await reader.readline()
        writer.close()
    assert heard.verified
    process.send_signal(how)
    _, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")


async def test_it_ends_quietly_when_no_one_reads_its_lines_any_more():
    process = await start("--token", TOKEN)
    line = await process.stdout.readline()
    process._transport.get_pipe_transport(1).close()
    async with aiohttp.ClientSession() as session, session.get(line.split()[-3].decode()) as response:
        assert response.status == 405
    _, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")


async def test_a_port_that_is_taken_is_a_sentence_and_exit_69():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = await start("--token", TOKEN, "--port", str(taken.getsockname()[1]))
        _, errors = await process.communicate()
    assert process.returncode == 69
    assert errors.startswith(b"faxhook: cannot listen on 127.0.0.1 port")
    assert errors.count(b"\n") == 1


async def test_an_unknown_format_is_a_sentence_with_those_there_are_and_exit_65():
    process = await start("--token", TOKEN, "--format", "fax-v0")
    _, errors = await process.communicate()
    assert process.returncode == 65
    assert b"phaxio-v2.1" in errors


async def test_options_that_say_nothing_beside_each_other_are_a_sentence_and_exit_65():
    process = await start("--token", TOKEN, "--close", "--status", "500")
    _, errors = await process.communicate()
    assert process.returncode == 65
    assert errors.startswith(b"faxhook: --close and --status contradict each other")


@pytest.mark.parametrize(
    ("options", "status"),
    [
        (("--fail", "1"), 500),
        (("--fail", "1", "--status", "404"), 404),
        (("--status", "418"), 418),
        (("--hang", "0.01"), 200),
        (("--drip",), 200),
        (("--close",), None),
    ],
)
async def test_the_command_goes_wrong_as_it_is_told(options, status):
    process = await start("--token", TOKEN, "--json", *options)
    url = msgspec.json.decode(await process.stdout.readline(), type=Started).listening
    async with aiohttp.ClientSession() as session:
        try:
            async with session.post(url, **rendered(url)) as response:
                assert response.status == status
        except aiohttp.ServerDisconnectedError:
            assert status is None
    heard = msgspec.json.decode(await process.stdout.readline(), type=Listened)
    assert heard.answered == (status or 0)
    process.send_signal(signal.SIGTERM)
    await process.communicate()
