"""Numbered callbacks of every provider, repeated and shuffled, and providers that repeat what was not answered 200."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import aiohttp
import callbacks
from callbacks import Outgoing

GIVE_UP_SECONDS = 60.0
"""A provider that hears no 200 for so long stops asking; what it asked is then not accepted."""


@dataclass(frozen=True)
class Asked:
    """One callback to send. *applications* are those that its event is owed to."""

    outgoing: Outgoing
    applications: tuple[str, ...]


def make_callbacks(seed: int, faxes: int, gone: Sequence[str]) -> list[Asked]:
    """Return the callbacks of *faxes* faxes in the order of *seed*: repetitions, inflight events, unreadable ones.

    The faxes of the job ids *gone* have an endpoint of their own, which answers 410.
    """
    dice = random.Random(seed)
    asked = []
    for number in range(faxes):
        asked += _fax(seed * 10_000 + number, dice)
    asked += [
        Asked(callbacks.phaxio(seed * 10_000 + 9_000 + number, job_id=job_id), ("gone",))
        for number, job_id in enumerate(gone)
    ]
    # Well signed, and no fax: quarantined.
    asked += [Asked(callbacks.phaxio_json(f'{{"note": {seed}{number}}}'.encode()), ()) for number in range(6)]
    repeated = [each for each in asked for _ in range(dice.choice((1, 1, 2, 3)))]
    dice.shuffle(repeated)
    return repeated


def _fax(number: int, dice: random.Random) -> list[Asked]:
    match number % 4:
        case 0:
            finished = callbacks.phaxio(number, dice.choice(("success", "failure")))
            return [
                Asked(finished, ("steady", "moody")),
                Asked(callbacks.phaxio_page(number, 1), ("steady",)),
            ]
        case 1:
            return [
                Asked(callbacks.telnyx(f"{number}-{event_type}", f"fax-{number}", event_type), applications)
                for event_type, applications in (
                    ("fax.queued", ("steady",)),
                    ("fax.sending.started", ("steady",)),
                    ("fax.delivered", ("steady", "moody")),
                )
            ]
        case 2:
            return [Asked(callbacks.sinch(number), ("steady", "moody"))]
        case _:
            return [Asked(callbacks.asterisk(number), ("steady", "moody"))]


@dataclass
class Traffic:
    """The providers at work. *urls* gives where ingresses are at this moment.

    Attributes:
        accepted: By event id: the applications that it is owed to.
        quarantined: Ids of callbacks answered 200 that could not be read.
        refused: Answers 503, and no answers at all.
        other: Anything else, which is wrong.
    """

    urls: Callable[[], Sequence[str]]
    accepted: dict[str, tuple[str, ...]] = field(default_factory=dict)
    quarantined: set[str] = field(default_factory=set)
    refused: int = 0
    other: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    sent: int = 0

    async def send_all(self, asked: Sequence[Asked], *, lanes: int = 8, per_second: float = 120.0) -> None:
        """Send everything, *lanes* at once, at most so many a second; return when each is answered 200 or given up."""
        waiting = list(reversed(asked))
        timeout = aiohttp.ClientTimeout(total=4.0)
        async with aiohttp.ClientSession(timeout=timeout) as http:

            async def lane(number: int) -> None:
                while waiting:
                    await self._send(http, waiting.pop(), number)
                    self.sent += 1
                    await asyncio.sleep(lanes / per_second)  # the pace of the traffic

            await asyncio.gather(*(lane(number) for number in range(lanes)))

    async def _send(self, http: aiohttp.ClientSession, asked: Asked, turn: int) -> None:
        deadline = asyncio.get_running_loop().time() + GIVE_UP_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            turn += 1
            if urls := self.urls():
                try:
                    status, answer = await asked.outgoing.send(http, urls[turn % len(urls)])
                except (OSError, aiohttp.ClientError, TimeoutError):
                    status, answer = 0, {}
                if status == 200:
                    self._accept(answer, asked)
                    return
                if status not in {0, 503}:
                    self.other.append((status, answer))
                    return
            self.refused += 1
            await asyncio.sleep(0.1)  # a provider would wait longer

    def _accept(self, answer: dict[str, str], asked: Asked) -> None:
        if answer["status"] == "quarantined":
            self.quarantined.add(answer["callback_id"])
        else:
            self.accepted[answer["event_id"]] = asked.applications
