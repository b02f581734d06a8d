"""Both services are replaced process by process under load: every callback is answered 200, and told once."""

import asyncio
import itertools
from collections import Counter
from contextlib import AsyncExitStack

import aiohttp
import callbacks
import pytest
from processes import ServiceProcess, start
from running_stack import RunningStack
from waiting import until

pytestmark = pytest.mark.alone

CALLBACKS_PER_SECOND = 40.0


class Rollout:
    """Two processes of a service, replaced one after the other as a platform does: surge 1, unavailable 0."""

    def __init__(self, module: str, environment: dict[str, str]) -> None:
        self._module = module
        self._environment = environment
        self.running: list[ServiceProcess] = []

    async def begin(self, stack: AsyncExitStack) -> None:
        stack.push_async_callback(self._kill)
        for _ in range(2):
            self.running.append(await (await start(self._module, self._environment)).ready())

    async def replace_all(self) -> list[int]:
        """Replace each process; return the exit codes of the old ones."""
        codes = []
        for old in tuple(self.running):
            self.running.append(await (await start(self._module, self._environment)).ready())
            self.running.remove(old)  # as a load balancer takes it out before it is told to end
            old.terminate()
            codes.append(await old.ended(60))
        return codes

    async def _kill(self) -> None:
        for process in self.running:
            process.kill()
            await process.ended()


class Provider:
    """Posts callbacks at a steady rate through a load balancer of its own: the next process if one does not answer."""

    def __init__(self, http: aiohttp.ClientSession, ingresses: list[ServiceProcess]) -> None:
        self._http = http
        self._ingresses = ingresses
        self.accepted: list[str] = []
        self.refused: list[int] = []
        self._is_done = asyncio.Event()

    def stop(self) -> None:
        self._is_done.set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as posting:
            for number in itertools.count():
                if self._is_done.is_set():
                    return
                await asyncio.sleep(max(0.0, began + number / CALLBACKS_PER_SECOND - loop.time()))  # its pace
                posting.create_task(self._post(number))

    async def _post(self, number: int) -> None:
        outgoing = callbacks.phaxio(70_000 + number)
        for ingress in (*self._ingresses[number % 2 :], *self._ingresses[: number % 2]):
            try:
                status, answer = await outgoing.send(self._http, ingress.url)
            except aiohttp.ClientError:
                continue
            if status == 200:
                self.accepted.append(answer["event_id"])
                return
        self.refused.append(number)


async def test_a_rolling_restart_of_both_services_under_load_loses_and_repeats_nothing(
    running_stack: RunningStack,
) -> None:
    await running_stack.endpoint()
    ingresses = Rollout("ingress", running_stack.ingress)
    dispatchers = Rollout("dispatcher", running_stack.dispatcher)
    async with AsyncExitStack() as stack:
        await ingresses.begin(stack)
        await dispatchers.begin(stack)
        provider = Provider(running_stack.http, ingresses.running)
        posting = asyncio.create_task(provider.run())
        await until(lambda: len(running_stack.receiver.received) >= 20, "traffic flows")
        codes = await ingresses.replace_all() + await dispatchers.replace_all()
        provider.stop()
        await posting
        assert codes == [0] * 4
        assert provider.refused == []

        async def all_told() -> bool:
            return await running_stack.count_of("told") == len(provider.accepted)

        await until(all_told, "everything accepted is told", 90.0)
    told = Counter(each.event_id for each in running_stack.receiver.received)
    assert told == Counter(provider.accepted)
    assert len(told) > 100, "the restarts were under load"
