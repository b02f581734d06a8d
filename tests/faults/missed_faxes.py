"""Callbacks are lost while services die and lists shift: in the end the provider's set is the ledger's, told once each.

Ten seeds share a stack at a time, with faxes of their own; of the ten, the first decides which processes are killed. The
day is scaled: an hour takes half a second.
"""

import asyncio
import random
import signal
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from aiohttp import web
from list_provider import ListProvider, providing
from provider_fax import WORDS, ProviderFax
from stack_under_fault import StackUnderFault, open_stack
from traffic import PlannedCallback, Traffic
from waiting import until

from shared.domain import utc_now

FAXES = 24
"""Of each seed."""

HOUR_SECONDS = 0.5
HOURS = 8
DROPPED = 0.05
SHIFTS = 0.2
"""How likely the list shifts before a page is answered."""

GRACE_SECONDS = 1.0
SETTLE_SECONDS = 60.0
NUMBERS = 100_000
"""From here on the numbers of faxes that shift the lists."""

SETTINGS = {"RECONCILE_EVERY": "2s", "RECONCILE_GRACE": "1s", "RECONCILE_WINDOW": "90s"}
APPLICATIONS = ("steady", "moody")

EVENTS = """
SELECT events.id, events.provider, events.fax_id, events.type, events.received_at, events.repeated_by_list,
       convert_from(body, 'UTF8')::jsonb ->> 'origin' = 'list' AS is_listed
FROM events JOIN unnest($1::text[], $2::text[]) AS wanted (provider, fax_id) USING (provider, fax_id)
"""
PASSED_OVER = """
SELECT count(*) FROM list_readings
WHERE provider = $1 AND is_standing AND outcome IN ('done', 'partly') AND started_at > $2 AND finished_at < $3
"""
ATTEMPTS = """
SELECT deliveries.event_id, endpoint_id, count(*) FILTER (WHERE outcome = 'told') AS told,
       count(*) FILTER (WHERE error = 'timeout') AS late
FROM deliveries JOIN attempts ON attempts.delivery_id = deliveries.id
WHERE deliveries.event_id = ANY($1::text[]) GROUP BY deliveries.event_id, endpoint_id
"""
OWED = """
SELECT count(*) FROM deliveries WHERE state = 'pending' OR state = 'retrying' AND due_at < now() + interval '1 minute'
"""
ACCOUNT = """
SELECT coalesce(sum(theirs), 0) AS theirs, coalesce(sum(ours), 0) AS ours, coalesce(sum(repaired), 0) AS repaired,
       coalesce(sum(missing), 0) AS missing, sum(told + owed + dead + unowed) AS fates
FROM accounts WHERE provider = $1
"""


@dataclass
class SeedResult:
    """What became of one seed. *wrong*: a sentence for each thing that must not happen."""

    seed: int
    faxes: int = 0
    dropped: int = 0
    repaired: int = 0
    wrong: list[str] = field(default_factory=list)


@dataclass
class _Seed:
    number: int
    dice: random.Random
    faxes: list[tuple[float, ProviderFax]] = field(default_factory=list)
    dropped: set[tuple[str, str]] = field(default_factory=set)


class ShiftingProvider:
    """Adds and removes faxes that never end, while the lists are paged."""

    def __init__(self, provider: ListProvider) -> None:
        self.provider = provider
        self.dice = random.Random(0)
        self.is_shifting = False
        self.shifts = 0
        self._number = NUMBERS
        provider.most_per_page = 10
        provider.disturb = self._disturb

    async def _disturb(self, request: web.Request) -> web.StreamResponse | None:
        number = next((value for name, value in request.query.items() if name in {"page", "page[number]"}), "1")
        is_later_page = self.is_shifting and number != "1"
        if is_later_page and (not self.shifts or self.dice.random() < SHIFTS):  # once at least, whatever the dice say
            self.shifts += 1
            under_way = [fax for fax in self.provider.faxes if fax.ending == "under way"]
            if under_way and self.dice.random() < 0.7:
                gone = self.dice.choice(under_way)
                self.provider.faxes = [fax for fax in self.provider.faxes if fax is not gone]
            else:
                self.add()
        return None

    def add(self) -> None:
        self._number += 1
        self.provider.fax(self.dice.choice(list(WORDS)), self._number, "under way", ended_ago=3.0)


@asynccontextmanager
async def open_missing(data: Path) -> AsyncIterator[tuple[StackUnderFault, ShiftingProvider]]:
    """Run a stack whose dispatchers read the lists of a provider of ours."""
    async with providing() as provider, open_stack(data, settings=provider.environment | SETTINGS) as stack:
        yield stack, ShiftingProvider(provider)


async def run_seeds(stack: StackUnderFault, shifting: ShiftingProvider, seeds: Sequence[int]) -> list[SeedResult]:
    """Run *seeds* at once; return what became of each. A stack takes each seed once."""
    await stack.ready()
    planned = [_plan(seed) for seed in seeds]
    shifting.dice = random.Random(seeds[0])
    for _ in range(12):
        shifting.add()
    shifting.is_shifting = True
    traffic = Traffic(stack.urls)
    killing = asyncio.create_task(_kill(stack, random.Random(seeds[0])))
    wrong: list[str] = []
    try:
        sending = [_send(each, shifting.provider, traffic) for each in planned]
        await asyncio.gather(*sending)
        await killing
        await stack.ready()
        shifting.is_shifting = False
        await until(lambda: _is_settled(stack, shifting.provider, planned), "all is settled", SETTLE_SECONDS)
    except Exception as error:  # noqa: BLE001 - every error belongs into the result
        wrong.append(f"{type(error).__name__}: {error}")
    finally:
        shifting.is_shifting = False
        killing.cancel()
    wrong += [f"answered {status} {answer}" for status, answer in traffic.other]
    wrong += await _account_errors(stack, shifting.provider)
    results = [await _result(stack, each) for each in planned]
    for result in results:  # what belongs to all of them is wrong for each
        result.wrong[:0] = wrong
    return results


def _plan(seed: int) -> _Seed:
    planned = _Seed(seed, random.Random(seed))
    dice = planned.dice
    lost_hour = dice.randrange(HOURS)
    for number in range(FAXES):
        name = dice.choice(list(WORDS))
        ending = dice.choice([each for each in WORDS[name] if each != "under way"])
        at = dice.uniform(0.0, HOURS * HOUR_SECONDS)
        now = utc_now()
        fax_id = str(seed * 1_000 + number)
        fax = ProviderFax(
            provider=name, fax_id=fax_id if name == "phaxio" else f"{name}-{fax_id}", ending=ending, created_at=now,
            finished_at=now,
        )  # fmt: skip
        planned.faxes.append((at, fax))
        if dice.random() < DROPPED or int(at / HOUR_SECONDS) == lost_hour:
            planned.dropped.add((fax.provider, fax.fax_id))
    planned.faxes.sort(key=lambda each: each[0])
    return planned


async def _send(planned: _Seed, provider: ListProvider, traffic: Traffic) -> None:
    """Have each fax end at its time, and send its callback unless that is lost."""
    began, sending = asyncio.get_running_loop().time(), []
    for at, fax in planned.faxes:
        await asyncio.sleep(max(0.0, began + at - asyncio.get_running_loop().time()))  # the pace of the scaled day
        fax.finished_at = utc_now()
        fax.created_at = fax.finished_at - timedelta(seconds=2)
        provider.faxes.insert(0, fax)
        if (fax.provider, fax.fax_id) not in planned.dropped:
            once = PlannedCallback(fax.callback(), APPLICATIONS)
            sending.append(asyncio.create_task(traffic.send_all([once], lanes=1, per_second=1_000)))
    await asyncio.gather(*sending)


async def _kill(stack: StackUnderFault, dice: random.Random) -> None:
    """Kill one process of each kind once or twice, at random."""
    victims = [stack.ingresses[dice.randrange(2)], stack.dispatchers[dice.randrange(2)], dice.choice(stack.processes)]
    dice.shuffle(victims)
    for victim in victims:
        await asyncio.sleep(dice.uniform(0.2, 1.6))  # any moment is part of the fault
        await until(lambda v=victim: v.is_running, f"{victim.kind} runs again")  # it may be the same one as before
        ends = len(victim.ends)
        victim.send(signal.SIGKILL)
        await until(lambda v=victim, n=ends: len(v.ends) > n, f"{victim.kind} is killed")


async def _is_settled(stack: StackUnderFault, provider: ListProvider, planned: Sequence[_Seed]) -> bool:
    """Return whether every ending is in the ledger, no delivery is due, and the account has seen it."""
    faxes = [fax for each in planned for _, fax in each.faxes]
    rows = await stack.pool.fetch(EVENTS, [fax.provider for fax in faxes], [fax.fax_id for fax in faxes])
    if len({(row["provider"], row["fax_id"]) for row in rows}) < len(faxes) or await stack.pool.fetchval(OWED):
        return False
    return not await _account_errors(stack, provider)


async def _account_errors(stack: StackUnderFault, provider: ListProvider) -> list[str]:
    """Compare the accounts of all days with the provider's own set and with the ledger."""
    wrong = []
    for name in WORDS:
        row = await stack.pool.fetchrow(ACCOUNT, name)
        theirs = sum(fax.provider == name and fax.ending != "under way" for fax in provider.faxes)
        repaired = await stack.pool.fetchval(
            "SELECT count(*) FROM events WHERE provider = $1 AND NOT repeated_by_list"
            " AND convert_from(body, 'UTF8')::jsonb ->> 'origin' = 'list'",
            name,
        )
        counted = (row["theirs"], row["ours"], row["fates"], row["repaired"], row["missing"])
        if counted != (theirs, theirs, theirs, repaired, 0):
            wrong.append(f"{name}: {theirs} theirs, {repaired} repaired, and the account says {dict(row)}")
    return wrong


async def _result(stack: StackUnderFault, planned: _Seed) -> SeedResult:
    faxes = {(fax.provider, fax.fax_id): fax for _, fax in planned.faxes}
    result = SeedResult(seed=planned.number, faxes=len(faxes), dropped=len(planned.dropped))
    rows = await stack.pool.fetch(EVENTS, [name for name, _ in faxes], [fax_id for _, fax_id in faxes])
    told: Counter[tuple[str, str, str]] = Counter()
    excused = await _excused(stack, [row["id"] for row in rows])
    repeats: Counter[tuple[str, str, str]] = Counter()
    endings = defaultdict(list)
    for row in rows:
        key = (row["provider"], row["fax_id"])
        if not row["repeated_by_list"]:
            endings[key].append(row["type"])
        for name in APPLICATIONS:
            told[*key, name] += stack.applications.told[row["id"], name]
            repeats[*key, name] += excused[row["id"], name]
            if len(stack.applications.delivery_ids.get((row["id"], name), ())) > 1:
                result.wrong.append(f"{key} was repeated to {name} under another delivery id")
        if row["is_listed"] and not row["repeated_by_list"]:
            result.repaired += 1
            await _check_round(stack, result, faxes[key], row["received_at"])
    for key, fax in faxes.items():
        if endings[key] != [fax.ending]:
            result.wrong.append(f"{key} ended {fax.ending}, and the ledger has {endings[key]}")
        for name in APPLICATIONS:
            times = told[*key, name]
            # *moody* always refuses one event in eight.
            if times > 1 + repeats[*key, name] or not (times or name == "moody"):
                result.wrong.append(f"{name} was told of {key} {times} times")
    found = {(row["provider"], row["fax_id"]) for row in rows if row["is_listed"]}
    result.wrong += [f"{key} is known, though its callback was never sent" for key in planned.dropped - found]
    return result


async def _excused(stack: StackUnderFault, event_ids: Sequence[str]) -> Counter[tuple[str, str]]:
    """Return how often each event may have been told again: answered while its process was killed, or too late.

    Then the ledger has no record of the answer: each one that it records counts in full.
    """
    excused: Counter[tuple[str, str]] = Counter()
    for row in await stack.pool.fetch(ATTEMPTS, list(event_ids)):
        key = (row["event_id"], stack.names[row["endpoint_id"]])
        unrecorded = stack.applications.told[key] - row["told"]
        may = row["late"] + (key in stack.under_way)
        excused[key] = min(unrecorded, may)
        if unrecorded > may:
            print(f"{key}: told {stack.applications.told[key]}, recorded {row['told']}, late {row['late']}")  # noqa: T201
    return excused


async def _check_round(stack: StackUnderFault, result: SeedResult, fax: ProviderFax, found_at: datetime) -> None:
    """The first whole reading that began after the grace must have found it."""
    assert fax.finished_at is not None
    # The provider's clock is known by the `Date` of its answers, to the second.
    due = fax.finished_at + timedelta(seconds=GRACE_SECONDS + 1.0)
    if await stack.pool.fetchval(PASSED_OVER, fax.provider, due, found_at):
        result.wrong.append(f"{fax.provider}:{fax.fax_id} was passed over by a whole reading")
