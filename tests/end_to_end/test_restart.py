"""When a service is stopped or killed, its work is finished or put back; no delivery is repeated or lost."""

import asyncio

import callbacks
import pytest
from dispatchers import dispatching
from processes import running, start
from running_stack import RunningStack
from stores import count
from waiting import until

from shared.broker import WORK_EVENTS


async def test_sigterm_lets_an_attempt_under_way_finish_and_records_it(running_stack: RunningStack) -> None:
    await running_stack.endpoint()
    release = asyncio.Event()

    async def slow(_received: object) -> int:
        await release.wait()
        return 200

    running_stack.receiver.answer = slow
    async with (
        running("ingress", running_stack.ingress) as ingress,
        running("dispatcher", running_stack.dispatcher) as dispatcher,
    ):
        await callbacks.phaxio(3).send(running_stack.http, ingress.url)
        await running_stack.receiver.got(1)
        dispatcher.terminate()
        await until(lambda: dispatcher.logged("service.stopping"), "stopping")
        assert dispatcher.process.returncode is None
        release.set()
        assert await dispatcher.ended() == 0
    assert await running_stack.count_of("told") == 1
    assert len(running_stack.receiver.received) == 1


async def test_deliveries_that_only_waited_at_sigterm_are_made_by_the_next_process(running_stack: RunningStack) -> None:
    await running_stack.endpoint(max_concurrent=1)
    release = asyncio.Event()

    async def slow(_received: object) -> int:
        await release.wait()
        return 200

    running_stack.receiver.answer = slow
    async with running("ingress", running_stack.ingress) as ingress:
        async with running("dispatcher", running_stack.dispatcher) as dispatcher:
            for number in range(5):
                await callbacks.phaxio(100 + number).send(running_stack.http, ingress.url)
            await running_stack.receiver.got(1)
            await until(lambda: len(dispatcher.logged("event.accepted")) == 5, "all taken in")
            dispatcher.terminate()
            await until(lambda: dispatcher.logged("service.stopping"), "stopping")
            release.set()
            assert await dispatcher.ended() == 0
        assert await running_stack.count_of("told") < 5
        async with running("dispatcher", running_stack.dispatcher):
            await until(lambda: _all_told(running_stack, 5), "all told")
    assert len({each.event_id for each in running_stack.receiver.received}) == 5
    assert len(running_stack.receiver.received) == 5


async def test_a_request_under_way_at_sigterm_is_answered(running_stack: RunningStack) -> None:
    async with running("ingress", running_stack.ingress) as ingress:
        outgoing = callbacks.phaxio(4)
        reader, writer = await asyncio.open_connection("127.0.0.1", ingress.port)
        head = f"POST {outgoing.target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(outgoing.body)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in outgoing.headers.items())
        writer.write(f"{head}\r\n".encode() + outgoing.body[:100])
        await writer.drain()
        await until(lambda: _admitted(running_stack, ingress.url), "the request is under way")
        ingress.terminate()
        await until(lambda: ingress.logged("service.stopping"), "stopping")
        writer.write(outgoing.body[100:])
        answer = await reader.read()
        writer.close()
        assert await ingress.ended() == 0
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert await count(running_stack.amqp_url, WORK_EVENTS) == 1


async def test_events_that_came_while_no_dispatcher_ran_are_told_by_the_next(running_stack: RunningStack) -> None:
    await running_stack.endpoint()
    async with running("ingress", running_stack.ingress) as ingress:
        for number in range(20):
            status, _ = await callbacks.phaxio(200 + number).send(running_stack.http, ingress.url)
            assert status == 200
    async with running("dispatcher", running_stack.dispatcher):
        await until(lambda: _all_told(running_stack, 20), "all told")
    assert len(running_stack.receiver.received) == 20


async def test_a_dispatcher_killed_before_an_answer_is_survived_by_its_deliveries(
    running_stack: RunningStack, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatcher.maintenance.sweeper.SETTLING_SECONDS", 0.1)
    endpoint = await running_stack.endpoint(timeout_seconds=0.5)
    hanging = asyncio.Event()

    async def first_hangs(received: object) -> int:
        if len(running_stack.receiver.received) == 1:
            await hanging.wait()
        return 200

    running_stack.receiver.answer = first_hangs
    async with running("ingress", running_stack.ingress) as ingress:
        dispatcher = await (await start("dispatcher", running_stack.dispatcher)).ready()
        await callbacks.phaxio(5).send(running_stack.http, ingress.url)
        await running_stack.receiver.got(1)
        dispatcher.kill()
        await dispatcher.ended()
        assert await running_stack.count_of("pending") == 1
        lease_seconds = "SELECT extract(epoch FROM lease_until - now())::float FROM deliveries"
        assert 0 < await running_stack.pool.fetchval(lease_seconds) <= endpoint.lease_seconds
        # As if that time had passed: a lease is as long as its endpoint may take, and half a minute more.
        await running_stack.pool.execute("UPDATE deliveries SET lease_until = now() - interval '1 s'")
        async with dispatching(running_stack.dispatcher | {"OPS_PORT": str(unused_tcp_port)}):
            await until(lambda: running_stack.count_of("told"), "told after the lease ran out")
    one, other = running_stack.receiver.received
    assert (one.delivery_id, one.attempt) == (other.delivery_id, other.attempt)


async def _all_told(running_stack: RunningStack, wanted: int) -> bool:
    return await running_stack.count_of("told") == wanted


async def _admitted(running_stack: RunningStack, url: str) -> bool:
    async with running_stack.http.get(f"{url}/metrics") as response:
        text = await response.text()
    return any(line.startswith("faxhook_admitted_bytes ") and not line.endswith(" 0.0") for line in text.splitlines())
