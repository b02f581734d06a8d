"""A connection is used again if what came while it was idle allows it; one that dies costs no attempt, once."""

import asyncio
from typing import Any

import pytest
from raw_hosts import EARLY, OK, Host, OnLoop, answers, dies_under_the_next, reset_on_close, serving, then

from dispatcher.channels.outcome import NotTold, Told
from dispatcher.egress import pool


def test_a_connection_is_used_again(on_loop: OnLoop) -> None:
    async def test() -> None:
        async with serving(Host(answers)) as (host, post):
            for _ in range(5):
                assert isinstance(await post(), Told)
            assert (host.connections, len(host.requests)) == (1, 5)

    on_loop(test)


@pytest.mark.parametrize("sent", [EARLY, EARLY[:9], b"\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"\0"])
@pytest.mark.parametrize("is_seen", [True, False], ids=["the loop had its turn", "still in the socket"])
def test_what_came_while_idle_is_no_answer(on_loop: OnLoop, sent: bytes, is_seen: bool) -> None:
    async def test() -> None:
        arrived = asyncio.Event()

        async def script(host: Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await host.request(reader)
            writer.write(OK)
            await host.event.wait()
            writer.write(sent)
            arrived.set()
            await reader.read()

        async with serving(Host(script, answers)) as (host, post):
            assert isinstance(await post(), Told)
            host.event.set()
            await arrived.wait()
            for _ in range(20 if is_seen else 0):
                await asyncio.sleep(0)
            outcome = await post()
            assert (type(outcome), outcome.http_status, outcome.answer) == (Told, 200, b"ok")
            assert (host.connections, len(host.requests)) == (2, 2)

    on_loop(test)


@pytest.mark.parametrize(
    "script",
    [then(), then(reset=True), then(EARLY), dies_under_the_next(), dies_under_the_next(reset=True), dies_under_the_next(EARLY)],
    ids=["closed", "reset", "farewell", "closes under it", "resets under it", "farewell crosses it"],
)  # fmt: skip
def test_a_kept_connection_that_ends_before_an_answer_costs_no_attempt(on_loop: OnLoop, script: Any) -> None:
    async def test() -> None:
        async with serving(Host(script, answers)) as (host, post):
            assert isinstance(await post(), Told)
            host.event.set()
            assert isinstance(await post(), Told)
            assert host.connections == 2

    on_loop(test)


@pytest.mark.parametrize("reset", [False, True])
def test_once_more_is_once_and_a_new_connection_that_dies_is_a_failure(on_loop: OnLoop, reset: bool) -> None:
    async def dies(host: Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await host.request(reader)
        if reset:
            reset_on_close(writer)

    async def test() -> None:
        async with serving(Host(dies_under_the_next(), dies)) as (host, post):
            assert isinstance(await post(), Told)
            outcome = await post()
            assert (type(outcome), outcome.error) == (NotTold, "reset")
            assert (host.connections, len(host.requests)) == (2, 3)
            assert (await post()).error == "reset"
            assert host.connections == 3

    on_loop(test)


def test_an_idle_connection_is_closed_before_hosts_commonly_do(
    on_loop: OnLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pool.KEPT_SECONDS < 5.0
    monkeypatch.setattr(pool, "SWEEP_SECONDS", 0.05)
    monkeypatch.setattr(pool, "KEPT_SECONDS", 0.1)

    async def script(host: Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await host.request(reader)
        writer.write(OK)
        assert await reader.read() == b""
        host.event.set()

    async def test() -> None:
        async with serving(Host(script)) as (host, post):
            assert isinstance(await post(), Told)
            await asyncio.wait_for(host.event.wait(), 5)

    on_loop(test)
