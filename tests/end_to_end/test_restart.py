"""Stopping and killing: what is under way is finished or put back, and nothing is told twice or forgotten."""

import asyncio

import callbacks
from processes import running, start
from running_stack import World
from stores import count
from waiting import until

from shared.broker import WORK_EVENTS


async def test_sigterm_lets_an_attempt_under_way_finish_and_records_it(world: World) -> None:
    await world.endpoint()
    release = asyncio.Event()

    async def slow(_received: object) -> int:
        await release.wait()
        return 200

    world.receiver.answer = slow
    async with running("ingress", world.ingress) as ingress, running("dispatcher", world.dispatcher) as dispatcher:
        await callbacks.phaxio(3).send(world.http, ingress.url)
        await world.receiver.got(1)
        dispatcher.terminate()
        await until(lambda: dispatcher.logged("service.stopping"), "stopping")
        assert dispatcher.process.returncode is None
        release.set()
        assert await dispatcher.ended() == 0
    assert await world.count_of("told") == 1
    assert len(world.receiver.received) == 1


async def test_deliveries_that_only_waited_at_sigterm_are_made_by_the_next_process(world: World) -> None:
    await world.endpoint(max_concurrent=1)
    release = asyncio.Event()

    async def slow(_received: object) -> int:
        await release.wait()
        return 200

    world.receiver.answer = slow
    async with running("ingress", world.ingress) as ingress:
        async with running("dispatcher", world.dispatcher) as dispatcher:
            for number in range(5):
                await callbacks.phaxio(100 + number).send(world.http, ingress.url)
            await world.receiver.got(1)
            await until(lambda: len(dispatcher.logged("event.accepted")) == 5, "all taken in")
            dispatcher.terminate()
            await until(lambda: dispatcher.logged("service.stopping"), "stopping")
            release.set()
            assert await dispatcher.ended() == 0
        assert await world.count_of("told") < 5
        async with running("dispatcher", world.dispatcher):
            await until(lambda: _all_told(world, 5), "all told")
    assert len({each.event_id for each in world.receiver.received}) == 5
    assert len(world.receiver.received) == 5


async def test_a_request_under_way_at_sigterm_is_answered(world: World) -> None:
    async with running("ingress", world.ingress) as ingress:
        outgoing = callbacks.phaxio(4)
        reader, writer = await asyncio.open_connection("127.0.0.1", ingress.port)
        head = f"POST {outgoing.target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(outgoing.body)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in outgoing.headers.items())
        writer.write(f"{head}\r\n".encode() + outgoing.body[:100])
        await writer.drain()
        await until(lambda: _admitted(world, ingress.url), "the request is under way")
        ingress.terminate()
        await until(lambda: ingress.logged("service.stopping"), "stopping")
        writer.write(outgoing.body[100:])
        answer = await reader.read()
        writer.close()
        assert await ingress.ended() == 0
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert await count(world.amqp_url, WORK_EVENTS) == 1


async def test_events_that_came_while_no_dispatcher_ran_are_told_by_the_next(world: World) -> None:
    await world.endpoint()
    async with running("ingress", world.ingress) as ingress:
        for number in range(20):
            status, _ = await callbacks.phaxio(200 + number).send(world.http, ingress.url)
            assert status == 200
    async with running("dispatcher", world.dispatcher):
        await until(lambda: _all_told(world, 20), "all told")
    assert len(world.receiver.received) == 20


async def test_a_dispatcher_killed_before_an_answer_is_survived_by_its_deliveries(world: World) -> None:
    await world.endpoint(timeout_seconds=0.5)  # a short timeout is a short lease
    hanging = asyncio.Event()

    async def first_hangs(received: object) -> int:
        if len(world.receiver.received) == 1:
            await hanging.wait()
        return 200

    world.receiver.answer = first_hangs
    async with running("ingress", world.ingress) as ingress:
        dispatcher = await (await start("dispatcher", world.dispatcher)).ready()
        await callbacks.phaxio(5).send(world.http, ingress.url)
        await world.receiver.got(1)
        dispatcher.kill()
        await dispatcher.ended()
        assert await world.count_of("pending") == 1
        async with running("dispatcher", world.dispatcher):
            await until(lambda: world.count_of("told"), "told after the lease ran out", seconds=40)
    one, other = world.receiver.received
    assert (one.delivery_id, one.attempt) == (other.delivery_id, other.attempt)


async def _all_told(world: World, wanted: int) -> bool:
    return await world.count_of("told") == wanted


async def _admitted(world: World, url: str) -> bool:
    async with world.http.get(f"{url}/metrics") as response:
        text = await response.text()
    return any(line.startswith("faxhook_admitted_bytes ") and not line.endswith(" 0.0") for line in text.splitlines())
