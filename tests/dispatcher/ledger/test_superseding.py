"""No event is owed to a level that a more specific endpoint, on or off, supersedes, whatever was changed before it."""

from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
import msgspec
from dispatchers import STORE, an_event
from fuzzing import examples
from hypothesis import given
from hypothesis import strategies as st
from ledgers import endpoint as add_endpoint

from dispatcher.ledger.intake import Intake
from dispatcher.policy.endpoint import Endpoint, FaxMatch
from shared.domain import Event, EventType, Provider

SENT, RECEIVED = ("1", "2"), ("+15550000001", "+15550000002")
JOBS = {"1": "job-of-1", "2": None}
PLACES = (
    ("global", None),
    *(("number", number) for number in RECEIVED),
    *(("fax", FaxMatch(provider=Provider.PHAXIO, fax_id=fax_id)) for fax_id in SENT),
    ("fax", FaxMatch(job_id="job-of-1")),
)
RANKS = {"global": 0, "number": 1, "fax": 2}

ADD = st.tuples(st.just("add"), st.sampled_from(PLACES), st.booleans())
CHANGE = st.tuples(st.sampled_from(["enable", "disable", "gone", "remove"]), st.integers(0, 20), st.none())
GLOBAL = ("add", ("global", None), True)


@dataclass
class Expected:
    """What must hold, said without the code that is tested."""

    standing: dict[UUID, Endpoint] = field(default_factory=dict)
    least_rank: dict[str, int] = field(default_factory=dict)
    told: dict[str, set[UUID]] = field(default_factory=dict)

    def applying(self, event: Event) -> list[Endpoint]:
        own: list[str | FaxMatch | None] = [None, event.to_number]
        if event.to_number is None:
            own = [None, FaxMatch(provider=event.provider, fax_id=event.fax_id)]
            own += [] if event.job_id is None else [FaxMatch(job_id=event.job_id)]
        return [each for each in self.standing.values() if each.match in own]

    def note(self, event: Event) -> None:
        applying = self.applying(event)
        self.least_rank[event.id] = rank = max((RANKS[each.scope] for each in applying), default=0)
        self.told[event.id] = {each.id for each in applying if RANKS[each.scope] == rank and each.enabled}


@examples(40, at_most=400)
@given(steps=st.lists(st.one_of(ADD, CHANGE), min_size=1, max_size=10))
async def test_an_event_is_never_owed_to_a_level_that_a_more_specific_endpoint_on_or_off_supersedes(
    pool: asyncpg.Pool, steps: list[tuple]
) -> None:
    await pool.execute("TRUNCATE endpoints, events, faxes, deliveries CASCADE")
    intake, expected, scopes = Intake(pool, STORE), Expected(), dict[UUID, str]()
    for number, (action, what, is_enabled) in enumerate([GLOBAL, *steps]):
        # 1. One change.
        if action == "add":
            scope, match = what
            made = await add_endpoint(pool, scope=scope, match=match, enabled=is_enabled)
            expected.standing[made.id], scopes[made.id] = made, made.scope
            await intake.owe_registered(made)
        elif expected.standing:
            await _change(pool, expected, action, what)
        # 2. Then an event for each fax and each number: its level is told, as it is now.
        events = [_event(number, of) for of in (*SENT, *RECEIVED)]
        await intake.take(events)
        owed = await _owed(pool)
        for event in events:
            expected.note(event)
            assert owed.get(event.id, set()) == expected.told[event.id]
        await intake.owe_unowed([event.id for event in events], leased=True)
        # 3. And the events before: those of a fax may have been owed to its own endpoint since.
        owed = await _owed(pool)
        for event_id, least in expected.least_rank.items():
            ranks = {RANKS[scopes[each]] for each in owed.get(event_id, set())}
            assert owed.get(event_id, set()) >= expected.told[event_id]
            assert len(ranks) <= 1, "owed to one level"
            assert min(ranks, default=least) >= least, "owed to no level that is superseded"


def _event(number: int, of: str) -> Event:
    event_id = f"phaxio:{of}-{number}"
    if of in SENT:
        return an_event(number, EventType.DELIVERED, id=event_id, fax_id=of, job_id=JOBS[of])
    return an_event(number, EventType.RECEIVED, id=event_id, fax_id=f"{of}-{number}", to_number=of)


async def _owed(pool: asyncpg.Pool) -> dict[str, set[UUID]]:
    """Return the endpoints that are told, by event."""
    owed: dict[str, set[UUID]] = {}
    for row in await pool.fetch("SELECT event_id, endpoint_id FROM deliveries WHERE state <> 'skipped'"):
        owed.setdefault(row["event_id"], set()).add(row["endpoint_id"])
    return owed


async def _change(pool: asyncpg.Pool, expected: Expected, action: str, position: int) -> None:
    """Change one of the endpoints that stand, in the ledger and in what is expected."""
    changed = list(expected.standing.values())[position % len(expected.standing)]
    if action == "remove":
        await STORE.remove(pool, changed.id)
        del expected.standing[changed.id]
        return
    after = msgspec.structs.replace(changed, enabled=action == "enable")
    if action == "gone":
        await STORE.gone(pool, changed.id)
    else:
        await STORE.update(pool, after)
    expected.standing[changed.id] = after
