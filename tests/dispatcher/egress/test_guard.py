"""Where requests may go: the same at the resolver, at the socket and in the URL, however an address is written."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from raw import raw_server
from receiver import Receiver
from resolving import Answers

from dispatcher.channels.outcome import NotTold, Outcome, Told
from dispatcher.channels.webhook import WebhookChannel
from dispatcher.egress import client as way_out
from dispatcher.egress.client import EgressClient
from dispatcher.egress.guard import EgressRefused, check_host, is_allowed, parse_networks

INNER = [
    "127.0.0.1",
    "127.8.9.10",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "168.63.129.16",
    "100.64.0.1",
    "100.100.100.200",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "0.0.0.0",  # noqa: S104 - an address to refuse
    "0.1.2.3",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:a9fe:a9fe",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::8.8.8.8",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2001:0:a00:1::1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "100::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "4000::1",
    "nonsense",
    "",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.255.255",
    "172.32.0.1",
    "192.0.1.1",
    "223.255.255.255",
    "2001:4860:4860::8888",
    "2606:4700::1111",
    "2a00:1450::1",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
]


@pytest.mark.parametrize("address", INNER)
def test_an_inner_address_may_not_be_reached(address: str) -> None:
    assert not is_allowed(address, ())


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_reached(address: str) -> None:
    assert is_allowed(address, ())


@pytest.mark.parametrize(
    ("network", "address", "allowed"),
    [
        ("10.1.0.0/16", "10.1.2.3", True),
        ("10.1.0.0/16", "::ffff:10.1.2.3", True),
        ("10.1.0.0/16", "64:ff9b::10.1.2.3", True),
        ("10.1.0.0/16", "10.2.0.1", False),
        ("10.1.0.0/16", "2002:a01:203::1", False),
        ("fd00:1::/32", "fd00:1::7", True),
        ("fd00:1::/32", "fd00:2::7", False),
        ("fe80::/10", "fe80::1%eth0", True),
    ],
)
def test_a_named_network_may_be_reached_and_nothing_beside_it(network: str, address: str, allowed: bool) -> None:
    assert is_allowed(address, parse_networks([network])) is allowed


DISGUISED = [
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0x7F.1",
    "0177.0.0.1",
    "127.1",
    "127.0.1",
    "127.0.0.1.",
    "127.0.0.01",
    "134744072",
    "8.8.2056",
    "0x08.8.8.8",
    "localhost",
    "LOCALHOST.",
    "anything.localhost",
    "\uff11\uff12\uff17.0.0.1",
    "127\u30020\u30020\u30021",
    "\u2460\u2461\u2466.0.0.1",
    "127.0.0.\uff11",
    "%31%32%37.0.0.1",
    "1.2.3.4.5",
    "::1",
    "::ffff:7f00:1",
    "[::1]",
    "0:0:0:0:0:0:0:1",
    "fe80::1%25eth0",
]


@pytest.mark.parametrize("host", DISGUISED)
def test_a_host_that_is_an_inner_address_in_any_coat_is_refused_as_text(host: str) -> None:
    with pytest.raises(EgressRefused):
        check_host(host, ())


@pytest.mark.parametrize(
    "host",
    ["example.com", "1.example.com", "a1", "8.8.8.8", "2606:4700::1111", "xn--bcher-kva.example", "bücher.example"],
)
def test_a_name_and_a_public_address_pass_as_text(host: str) -> None:
    check_host(host, ())


# ---- End to end, through the channel --------------------------------------------------------------------------------


@asynccontextmanager
async def channel(resolver: Answers, *networks: str) -> AsyncIterator[tuple[WebhookChannel, EgressClient]]:
    opened = EgressClient(parse_networks(networks), resolver=resolver)
    try:
        yield WebhookChannel(opened), opened
    finally:
        await opened.close()


async def post(sender: WebhookChannel, url: str) -> Outcome:
    return await sender.post(url, url, b"x", {"Content-Type": "text/plain"}, 5)


def code(outcome: Outcome) -> str:
    assert isinstance(outcome, NotTold), outcome
    return outcome.error


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        *(each for each in DISGUISED[:21] if "%" not in each),
    ],
)
async def test_a_literal_in_a_url_never_reaches_loopback(receiver: Receiver, host: str) -> None:
    async with channel(Answers(**{host: [["127.0.0.1"]]})) as (sender, _):
        assert code(await post(sender, receiver.url.replace("127.0.0.1", host))) == "egress_refused"
    assert receiver.received == []


ANSWERS = [
    ["127.0.0.1"],
    ["::1"],
    ["::ffff:127.0.0.1"],
    ["127.0.0.1", "10.0.0.1", "127.0.0.2"],
    ["127.0.0.1", "::1"],
    ["fe80::1", "169.254.169.254", "::1", "10.0.0.1"],
]


@pytest.mark.parametrize("addresses", ANSWERS)
async def test_a_name_that_leads_inside_is_refused(receiver: Receiver, addresses: list[str]) -> None:
    async with channel(Answers(hook_example=[addresses])) as (sender, _):
        assert code(await post(sender, receiver.url.replace("127.0.0.1", "hook.example"))) == "egress_refused"
    assert receiver.received == []


@pytest.mark.parametrize("addresses", ANSWERS)
async def test_the_socket_itself_refuses_with_the_same_code_though_the_resolver_is_believed(
    receiver: Receiver, addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(way_out, "GuardedResolver", lambda resolver, _networks: resolver)
    async with channel(Answers(hook_example=[addresses])) as (sender, _):
        assert code(await post(sender, receiver.url.replace("127.0.0.1", "hook.example"))) == "egress_refused"
    assert receiver.received == []


@asynccontextmanager
async def public_server(port: int, answer: bytes) -> AsyncIterator[list[str]]:
    """A server on 127.0.0.2, which stands for a public address; yields who connected."""
    seen: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append("connected")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with raw_server(handle, "127.0.0.2", port):
        yield seen


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
STANDS_FOR_PUBLIC = "127.0.0.2/32"


def hook(receiver: Receiver) -> tuple[str, int]:
    url = receiver.url.replace("127.0.0.1", "hook.example")
    return url, int(receiver.base_url.rpartition(":")[2])


async def test_a_name_that_was_public_and_resolves_inside_later_is_refused_then(receiver: Receiver) -> None:
    url, port = hook(receiver)
    resolver = Answers(hook_example=[["127.0.0.2"], ["127.0.0.1"]])
    async with public_server(port, OK) as seen, channel(resolver, STANDS_FOR_PUBLIC) as (sender, out):
        assert isinstance(await post(sender, url), Told)
        assert isinstance(await post(sender, url), Told)
        assert resolver.asked == ["hook.example"], "an answer is remembered, and its address checked again"
        out._connector.forget_addresses()  # time goes by
        assert code(await post(sender, url)) == "egress_refused"
        assert (resolver.asked, seen) == (["hook.example"] * 2, ["connected"] * 2)
    assert receiver.received == []


async def test_a_name_that_changes_between_the_check_and_the_connection_is_refused_at_the_socket(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, port = hook(receiver)

    class LooksAndAsksAgain(Answers):
        async def resolve(self, *arguments: Any, **named: Any) -> Any:
            await super().resolve(*arguments, **named)  # what a check would have seen: a public address
            return await super().resolve(*arguments, **named)

    monkeypatch.setattr(way_out, "GuardedResolver", lambda resolver, _networks: resolver)
    async with (
        public_server(port, OK) as seen,
        channel(LooksAndAsksAgain(hook_example=[["127.0.0.2"], ["127.0.0.1"]]), STANDS_FOR_PUBLIC) as (sender, _),
    ):
        assert code(await post(sender, url)) == "egress_refused"
    assert (seen, receiver.received) == ([], [])


@pytest.mark.parametrize("addresses", [["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "127.0.0.1"], ["::1", "127.0.0.2"]])
async def test_of_several_addresses_only_the_public_ones_are_connected_to(
    receiver: Receiver, addresses: list[str]
) -> None:
    url, port = hook(receiver)
    async with channel(Answers(hook_example=[addresses]), STANDS_FOR_PUBLIC) as (sender, _):
        async with public_server(port, OK) as seen:
            assert isinstance(await post(sender, url), Told)
            assert seen == ["connected"]
        assert code(await post(sender, url)) == "refused", "the public address's own failure"
    assert receiver.received == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_loopback_is_not_followed(receiver: Receiver, status: int) -> None:
    url, port = hook(receiver)
    answer = b"HTTP/1.1 %d Moved\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (status, receiver.url.encode())
    async with (
        public_server(port, answer),
        channel(Answers(hook_example=[["127.0.0.2"]]), STANDS_FOR_PUBLIC) as (sender, _),
    ):
        assert code(await post(sender, url)) == f"http_{status}"
    assert receiver.received == []
