"""The demo's report: each event is judged and shown in a table. Pure except for the printing."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from deploy.demo.samples import Expected
from dispatcher.formats import DEFAULT_FORMAT
from dispatcher.ops.listener.listen import Listened

COPIES: Final = 2
"""How often each callback is sent: once, and a repetition."""

LEAST_WIDTH: Final = 124
"""Of the table where the output is no terminal."""

VERIFIED: Final = "✓"
MEANINGS: Final = {
    "no_equivalent": f"because {DEFAULT_FORMAT} has no word for it",
    "overtaken": "because its fax had ended by then: old news is not told",
}


@dataclass(frozen=True)
class Recorded:
    """A delivery as the ledger has it."""

    state: str
    reason: str | None
    attempts: int


@dataclass
class Seen:
    """Everything that was seen of the demo from outside.

    Attributes:
        answered: How many callbacks of each event id were answered 200.
        removed: How many repetitions of each event id the dispatcher dropped.
        recorded: The delivery of each event id.
        heard: The webhooks in the order in which they came.
    """

    sent: int = 0
    answered: Counter[str] = field(default_factory=Counter)
    removed: Counter[str] = field(default_factory=Counter)
    recorded: dict[str, Recorded] = field(default_factory=dict)
    heard: list[Listened] = field(default_factory=list)

    def is_settled(self, expected: Sequence[Expected]) -> bool:
        """Has everything come to its end?"""
        return all(
            self.removed[each.event.id] >= COPIES - 1
            and (recorded := self.recorded.get(each.event.id)) is not None
            and recorded.state not in {"pending", "retrying"}
            for each in expected
        )


@dataclass(frozen=True)
class Row:
    """One event of the demo. *problems* says what is not as it must be."""

    expected: Expected
    outcome: str
    attempts: int
    removed: int
    order: str
    verified: str
    problems: tuple[str, ...]


def judge(expected: Sequence[Expected], seen: Seen) -> list[Row]:
    """Return a row for each of *expected*."""
    position = {listened.event_id: number for number, listened in reversed(list(enumerate(seen.heard)))}
    ending_of = {each.fax: position.get(each.event.id) for each in expected if each.is_ending}
    return [_row(each, seen, position.get(each.event.id), ending_of.get(each.fax)) for each in expected]


def _row(expected: Expected, seen: Seen, position: int | None, ending: int | None) -> Row:
    event_id = expected.event.id
    heard = [listened for listened in seen.heard if listened.event_id == event_id]
    recorded = seen.recorded.get(event_id, Recorded("not in the ledger", None, 0))
    unverified = [listened.refused for listened in heard if not listened.verified]
    order, order_problems = _order(expected, recorded, position, ending)
    return Row(
        expected=expected,
        outcome="listener" if recorded.state == "told" else recorded.reason or recorded.state,
        attempts=recorded.attempts,
        removed=seen.removed[event_id],
        order=order,
        verified="" if not heard else "NO" if unverified else VERIFIED,
        problems=(
            *_count_problems(seen.answered[event_id], seen.removed[event_id]),
            *_outcome_problems(expected, recorded, len(heard)),
            *order_problems,
            *(f"not verified: {reason}" for reason in unverified),
        ),
    )


def _count_problems(answered: int, removed: int) -> Iterator[str]:
    if answered != COPIES:
        yield f"{answered} of {COPIES} callbacks were answered 200 with this event's id"
    if removed != COPIES - 1:
        yield f"{removed} repetitions were removed, not {COPIES - 1}"


def _outcome_problems(expected: Expected, recorded: Recorded, times_heard: int) -> Iterator[str]:
    """An ending is told; what is inflight may be overtaken; what the format cannot say is recorded only."""
    allowed: set[tuple[str, str | None]]
    if not expected.has_word:
        allowed = {("skipped", "no_equivalent")}
    elif expected.is_ending:
        allowed = {("told", None)}
    else:
        allowed = {("told", None), ("skipped", "overtaken")}
    if (recorded.state, recorded.reason) not in allowed:
        yield f"its delivery is {recorded.state} ({recorded.reason or 'no reason given'})"
    expected_times = int(recorded.state == "told")
    if times_heard != expected_times:
        yield f"the listener got it {times_heard} times, not {expected_times}"


def _order(expected: Expected, recorded: Recorded, position: int | None, ending: int | None) -> tuple[str, list[str]]:
    """Compare when an inflight event and its fax's ending were told; positions in what the listener got, from 0."""
    if expected.is_ending:
        return "", []
    if recorded.reason == "overtaken":
        return ("kept", []) if ending is not None else ("?", ["held back as overtaken, but the ending never came"])
    if position is None or ending is None:
        return "", []
    return ("kept", []) if position < ending else ("BROKEN", ["it was told after its fax's ending"])


def print_report(rows: Sequence[Row], seen: Seen, seconds: float) -> bool:
    """Print the table, the sums, and what is missing; return whether all is as it must be."""
    console = Console(width=None if sys.stdout.isatty() else LEAST_WIDTH, highlight=False)
    table = Table("provider", "its event", "our type", "delivered to", box=SIMPLE_HEAD)
    for heading in ("attempts", "duplicates\nremoved", "order", "verified"):
        table.add_column(heading, justify="center")
    last = ""
    for row in rows:
        event = row.expected.event
        if last and event.provider != last:
            table.add_section()
        last = event.provider
        table.add_row(
            event.provider,
            row.expected.sample.event_name,
            event.type,
            row.outcome,
            str(row.attempts or ""),
            str(row.removed),
            row.order,
            row.verified,
            style="red" if row.problems else None,
        )
    console.print(table)
    unexpected = {listened.event_id for listened in seen.heard} - {row.expected.event.id for row in rows}
    missing = [
        f"{row.expected.event.provider} {row.expected.sample.event_name} ({row.expected.event.id}): {problem}"
        for row in rows
        for problem in row.problems
    ] + [f"the listener got an event that was not sent: {event_id}" for event_id in sorted(map(str, unexpected))]
    for outcome, meaning in MEANINGS.items():
        if any(row.outcome == outcome for row in rows):
            console.print(f"  {outcome}: recorded only, {meaning}", soft_wrap=True)
    delivered = sum(row.outcome == "listener" and row.verified == VERIFIED for row in rows)
    console.print(
        f"\n{seen.sent} callbacks sent, {seen.answered.total()} answered 200: {len(rows)} events, "
        f"{delivered} deliveries, each once and verified, {seen.removed.total()} duplicates removed, "
        f"in {seconds:.1f} s.",
        soft_wrap=True,
    )
    for problem in missing:
        console.print(f"MISSING  {problem}", style="red", soft_wrap=True, markup=False)
    return not missing
