"""A name whose servers never answer delays no other name, and no request waits for it for ever."""

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from dispatcher.egress import resolver as resolve
from dispatcher.egress.client import EgressClient
from dispatcher.egress.errors import error_code
from dispatcher.egress.guard import parse_networks
from dispatcher.egress.resolver import NotResolved, Resolver


class Names:
    """Name servers: those of `*.hanging` never answer until `answer` is set."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.answer = threading.Event()
        self.threads: list[threading.Thread] = []

    def getaddrinfo(self, host: str, _port: Any, **_options: Any) -> list[Any]:
        self.asked[host] += 1
        self.threads.append(threading.current_thread())
        if host.endswith(".hanging"):
            self.answer.wait(30)
        if host.endswith(".odd"):
            raise UnicodeError("label too long")
        if host.endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    names = Names()
    monkeypatch.setattr(resolve.socket, "getaddrinfo", names.getaddrinfo)
    monkeypatch.setattr(resolve, "LOOKUP_SECONDS", 0.4)
    yield names
    names.answer.set()


@pytest.fixture
async def resolver(names: Names) -> AsyncIterator[Resolver]:
    resolver = Resolver()
    yield resolver
    await resolver.close()


async def test_others_are_resolved_at_once_while_many_names_hang(
    names: Names, resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve, "LOOKUP_SECONDS", 20.0)
    hanging = [asyncio.create_task(resolver.resolve(f"{number}.hanging")) for number in range(resolve.MOST_LOOKUPS - 1)]
    await asyncio.sleep(0)  # the first turn of those that hang
    async with asyncio.timeout(5):
        (found,) = await resolver.resolve("a.example", 443)
    assert (found["host"], found["port"], found["hostname"]) == ("127.0.0.1", 443, "a.example")
    assert not any(each.done() for each in hanging)
    names.answer.set()
    await asyncio.gather(*hanging)


async def test_a_name_that_hangs_takes_one_thread_however_often_it_is_asked_for(
    names: Names, resolver: Resolver
) -> None:
    for _ in range(2):
        asking = [resolver.resolve("one.hanging") for _ in range(20)]
        assert {type(each) for each in await asyncio.gather(*asking, return_exceptions=True)} == {NotResolved}
    assert names.asked["one.hanging"] == 1
    names.answer.set()
    assert await resolver.resolve("one.hanging")


async def test_no_more_threads_are_held_than_names_may_be_looked_up_however_soon_requests_give_up(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve, "MOST_LOOKUPS", 3)
    resolver = Resolver()
    for _ in range(2):
        asking = [resolver.resolve(f"{number}.hanging") for number in range(10)]
        assert {type(each) for each in await asyncio.gather(*asking, return_exceptions=True)} == {NotResolved}
    assert names.asked.total() == 3
    assert all(thread.daemon for thread in names.threads), "none of them holds up the end of the process"
    await resolver.close()


async def test_a_name_that_the_systems_resolver_cannot_even_read_is_not_found(resolver: Resolver) -> None:
    with pytest.raises(OSError, match="UnicodeError"):
        await resolver.resolve("a.odd")


async def test_a_name_that_does_not_exist_or_does_not_answer_is_the_endpoints_trouble(names: Names) -> None:
    way_out = EgressClient(parse_networks(["127.0.0.0/8"]))
    try:
        for url in ("http://nobody.invalid/", "http://two.hanging/", f"http://{'x' * 70}.example/"):
            with pytest.raises(OSError) as raised:  # noqa: PT011 - of many kinds; what counts is the code
                async with asyncio.timeout(5), way_out.request("POST", url, {}):
                    pass
            assert error_code(raised.value) in {"host_not_found", "refused"}, url
    finally:
        await way_out.close()
