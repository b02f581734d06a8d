"""A fax's state is the same for every order, batching and repetition of its events, in Python and in the ledger."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise, permutations

import asyncpg
import pytest
from dispatchers import STORE
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dispatcher.ledger.intake import Intake
from dispatcher.policy.lifecycle import FaxState, fold, is_overtaken, merge, state_after
from shared.domain import Direction, Event, EventType, Phase, Provider

START = datetime(2026, 10, 3, 8, 0, tzinfo=UTC)


def intake(pool: asyncpg.Pool) -> Intake:
    return Intake(pool, STORE)


def event(
    event_id: str,
    event_type: EventType,
    *,
    fax_id: str = "1",
    occurred_at: datetime | None = None,
    pages: int | None = None,
    to_number: str | None = None,
    received_at: datetime = START,
) -> Event:
    return Event(
        id=event_id,
        provider=Provider.PHAXIO,
        type=event_type,
        phase=event_type.phase,
        direction=Direction.SENT,
        fax_id=fax_id,
        occurred_at=occurred_at,
        received_at=received_at,
        pages=pages,
        to_number=to_number,
    )


moments = st.integers(0, 3).map(lambda minutes: START + timedelta(minutes=minutes))
events = st.builds(
    event,
    st.integers(0, 9).map(lambda number: f"phaxio:{number}é{number % 3}"),
    st.sampled_from(EventType),
    fax_id=st.sampled_from(["1", "2"]),
    occurred_at=st.none() | moments,
    pages=st.none() | st.integers(0, 5),
    to_number=st.sampled_from([None, "+1", "+2", "sip:ä"]),
    received_at=moments,
)
lives = st.lists(events, min_size=1, max_size=8, unique_by=lambda each: each.id)


@given(life=lives, data=st.data())
def test_every_order_with_any_repetition_folds_to_one_state(life: list[Event], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(life + data.draw(st.lists(st.sampled_from(life), max_size=4))))
    assert fold(shuffled) == fold(life)


@given(life=lives, cut=st.integers(0, 8))
def test_every_split_into_batches_folds_to_one_state(life: list[Event], cut: int) -> None:
    states: dict[tuple[str, str], FaxState] = {}
    for batch in (life[cut:], life[:cut]):
        for state in fold(batch):
            key = (state.provider, state.fax_id)
            states[key] = merge(states[key], state) if key in states else state
    assert [states[key] for key in sorted(states)] == fold(life)


def test_every_permutation_of_one_faxs_life_ends_delivered() -> None:
    life = [
        event("a", EventType.QUEUED),
        event("b", EventType.MEDIA_PROCESSED),
        event("c", EventType.SENDING),
        event("d", EventType.DELIVERED),
        event("e", EventType.UNKNOWN),
    ]
    for order in permutations(life):
        (state,) = fold(order)
        assert state.state is EventType.DELIVERED
        assert not state.conflicting


def test_of_two_different_endings_the_later_wins_then_the_better_and_the_fax_is_conflicting() -> None:
    early, late = START, START + timedelta(seconds=1)
    (state,) = fold(
        [event("a", EventType.FAILED, occurred_at=late), event("b", EventType.DELIVERED, occurred_at=early)]
    )
    assert state.state is EventType.FAILED
    assert state.conflicting
    (state,) = fold([event("a", EventType.FAILED), event("b", EventType.DELIVERED)])
    assert state.state is EventType.DELIVERED
    assert state.conflicting


@given(life=lives, stalled=st.lists(st.none() | moments, min_size=1, max_size=3))
def test_stalling_changes_nothing_of_a_state_but_that_it_stalled(
    life: list[Event], stalled: list[datetime | None]
) -> None:
    known = [each for each in life if each.type is not EventType.STALLED]
    said = [event(f"s{n}", EventType.STALLED, fax_id="1", occurred_at=at) for n, at in enumerate(stalled)]
    before = {state.fax_id: state for state in fold(known)}
    after = {state.fax_id: state for state in fold([*said, *known])}
    assert after["1"].stalled_at == min(at or START for at in stalled)
    if "1" in before:
        same = ("state", "occurred_at", "event_id", "endings", "conflicting", "pages", "to_number", "direction")
        assert [getattr(after["1"], name) for name in same] == [getattr(before["1"], name) for name in same]
    else:
        assert after["1"].state is EventType.STALLED
    assert before.get("2") == after.get("2")


def test_a_repeated_ending_is_no_conflict() -> None:
    (state,) = fold([event("a", EventType.FAILED), event("b", EventType.FAILED)])
    assert not state.conflicting


@pytest.mark.parametrize("event_type", EventType)
def test_an_event_is_overtaken_by_strictly_higher_ranks_only(event_type: EventType) -> None:
    inflight = event_type.phase is Phase.INFLIGHT and event_type is not EventType.UNKNOWN
    assert not is_overtaken(event_type, event_type.rank)
    assert is_overtaken(event_type, 101) is inflight


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(life=lives, cuts=st.lists(st.integers(0, 8), max_size=3), data=st.data())
@example(
    life=[event("b", EventType.QUEUED), event("a", EventType.QUEUED)],
    cuts=[1],
    data=None,
)
async def test_the_ledger_folds_as_python_does(
    pool: asyncpg.Pool, life: list[Event], cuts: list[int], data: st.DataObject | None
) -> None:
    await pool.execute("TRUNCATE events, faxes, deliveries")
    order = data.draw(st.permutations(life)) if data else life
    edges = sorted({0, *(min(cut, len(order)) for cut in cuts), len(order)})
    batches = [order[start:end] for start, end in pairwise(edges)]
    for batch in [*batches, *batches[:1]]:  # the first one comes twice
        if batch:
            await intake(pool).take(batch)
    rows = await pool.fetch("SELECT * FROM faxes ORDER BY provider, fax_id")
    expected = fold(life)
    assert len(rows) == len(expected)
    for row, state in zip(rows, expected, strict=True):
        found = {name: row[name] for name in (*state.__struct_fields__, "conflicting", "rank")}
        assert found == {
            **{name: getattr(state, name) for name in state.__struct_fields__},
            "conflicting": state.conflicting,
            "rank": state.state.rank,
        }


async def test_two_writers_with_the_same_events_in_opposite_order_never_deadlock(pool: asyncpg.Pool) -> None:
    for round_number in range(15):
        batch = [
            event(f"{round_number}-{number}", EventType.DELIVERED, fax_id=f"{round_number}-{number}")
            for number in range(400)
        ]
        one, other = await asyncio.gather(intake(pool).take(batch), intake(pool).take(batch[::-1]))
        assert len(one.fresh | other.fresh) == 400
        assert not one.fresh & other.fresh


def test_state_after_one_event_carries_what_it_says() -> None:
    state = state_after(event("a", EventType.DELIVERED, pages=3, to_number="+1"))
    assert (state.pages, state.to_number, state.endings) == (3, "+1", 1 << EventType.DELIVERED.order)
