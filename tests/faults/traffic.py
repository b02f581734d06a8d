"""Numbered callbacks of every provider, repeated and shuffled, and sent again until they are answered 200."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import aiohttp
import callbacks
from callbacks import Outgoing

GIVE_UP_SECONDS = 60.0
"""A provider that gets no 200 for so long gives up; its callback is then not accepted."""


@dataclass(frozen=True)
class PlannedCallback:
    """One callback to send. *applications*: those that its event is owed to."""

    outgoing: Outgoing
    applications: tuple[str, ...]


def make_callbacks(seed: int, faxes: int, gone: Sequence[str]) -> list[PlannedCallback]:
    """Return the callbacks of *faxes* faxes in the order of *seed*: repetitions, inflight events, unreadable ones.

    The faxes of the job ids *gone* have an endpoint of their own, which answers 410.
    """
    dice = random.Random(seed)
    planned = []
    for number in range(faxes):
        planned += _fax(seed * 10_000 + number, dice)
    planned += [
        PlannedCallback(callbacks.phaxio(seed * 10_000 + 9_000 + number, job_id=job_id), ("gone",))
        for number, job_id in enumerate(gone)
    ]
    # Signed, but not a fax: quarantined.
    planned += [
        PlannedCallback(callbacks.phaxio_json(f'{{"note": {seed}{number}}}'.encode()), ()) for number in range(6)
    ]
    repeated = [each for each in planned for _ in range(dice.choice((1, 1, 2, 3)))]
    dice.shuffle(repeated)
    return repeated


def _fax(number: int, dice: random.Random) -> list[PlannedCallback]:
    match number % 4:
        case 0:
            finished = callbacks.phaxio(number, dice.choice(("success", "failure")))
            return [
                PlannedCallback(finished, ("steady", "moody")),
                PlannedCallback(callbacks.phaxio_page(number, 1), ("steady",)),
            ]
        case 1:
            return [
                PlannedCallback(callbacks.telnyx(f"{number}-{event_type}", f"fax-{number}", event_type), applications)
                for event_type, applications in (
                    ("fax.queued", ("steady",)),
                    ("fax.sending.started", ("steady",)),
                    ("fax.delivered", ("steady", "moody")),
                )
            ]
        case 2:
            return [PlannedCallback(callbacks.sinch(number), ("steady", "moody"))]
        case _:
            return [PlannedCallback(callbacks.asterisk(number), ("steady", "moody"))]


@dataclass
class Traffic:
    """The providers. *urls* returns where ingresses listen at this moment.

    Attributes:
        accepted: By event id: the applications that it is owed to.
        quarantined: Ids of callbacks that were answered 200 and could not be read.
        other: Answers other than 200 and 503, with their bodies; these are wrong.
        longest_silence_seconds: The longest time without a 200, from the first one on.
        sent: Callbacks that are answered 200 or given up.
    """

    urls: Callable[[], Sequence[str]]
    accepted: dict[str, tuple[str, ...]] = field(default_factory=dict)
    quarantined: set[str] = field(default_factory=set)
    other: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    sent: int = 0
    longest_silence_seconds: float = 0.0
    _last_accepted: float | None = None
    _waiting: list[PlannedCallback] = field(default_factory=list)

    def stop(self) -> None:
        """Send no further callbacks; those under way are sent until they are answered 200 or given up."""
        self._waiting.clear()

    async def send_all(self, planned: Sequence[PlannedCallback], *, lanes: int = 8, per_second: float = 120.0) -> None:
        """Send *planned*, *lanes* at once, at most *per_second*; return when each is answered 200 or given up."""
        self._waiting = waiting = list(reversed(planned))
        timeout = aiohttp.ClientTimeout(total=4.0)
        async with aiohttp.ClientSession(timeout=timeout) as http:

            async def lane(number: int) -> None:
                while waiting:
                    await self._send(http, waiting.pop(), number)
                    self.sent += 1
                    await asyncio.sleep(lanes / per_second)  # the pace of the traffic

            await asyncio.gather(*(lane(number) for number in range(lanes)))

    async def _send(self, http: aiohttp.ClientSession, planned: PlannedCallback, turn: int) -> None:
        deadline = asyncio.get_running_loop().time() + GIVE_UP_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            turn += 1
            if urls := self.urls():
                try:
                    status, answer = await planned.outgoing.send(http, urls[turn % len(urls)])
                except (OSError, aiohttp.ClientError, TimeoutError):
                    status, answer = 0, {}
                if status == 200:
                    self._accept(answer, planned)
                    return
                if status not in {0, 503}:
                    self.other.append((status, answer))
                    return
            await asyncio.sleep(0.1)  # the pause before a provider sends again; a real one waits longer

    def _accept(self, answer: dict[str, str], planned: PlannedCallback) -> None:
        now = time.monotonic()
        if self._last_accepted is not None:
            self.longest_silence_seconds = max(self.longest_silence_seconds, now - self._last_accepted)
        self._last_accepted = now
        if answer["status"] == "quarantined":
            self.quarantined.add(answer["callback_id"])
        else:
            self.accepted[answer["event_id"]] = planned.applications
