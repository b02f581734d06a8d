"""Rounds of `lists.py`: what came while a list was read is compared with what came between, in the same minute."""

import random
import statistics
from dataclasses import dataclass, replace

from others import Others

PHASE_SECONDS = 1.0
"""The provider answers for so long and withholds its answers for so long, in turn."""

MOST_OF_OTHERS = 0.05
"""Of a core: a phase in which other programs took more is left out."""

DRAWS = 300
GOAL_RATIO = 1.1


@dataclass(frozen=True)
class Round:
    """A reading and its account.

    Attributes:
        seconds: What it took, but for the provider's pauses.
        taken: How long the live events took, by phase; odd phases are the provider's pauses.
        account: The same while the account was drawn up.
    """

    seconds: float
    taken: dict[int, list[float]]
    account: list[float]

    def without(self, busy: set[int]) -> "Round":
        """Return the round without some phases."""
        return replace(self, taken={phase: some for phase, some in self.taken.items() if phase not in busy})


def compared(rounds: list[Round]) -> tuple[float, float, float]:
    """Return p99 of live traffic while a list was read or counted, between that, and the noise of such a comparison.

    The noise is what the ratio of the two exceeds in one of a hundred comparisons where there is no difference: those of the
    same phases, with which of them counts as read drawn at random.
    """
    phases = [(is_read_in(phase), some) for one in rounds for phase, some in one.taken.items()]
    of_account = [each for one in rounds for each in one.account]
    during = [each for is_read, some in phases if is_read for each in some] + of_account
    paused = [each for is_read, some in phases if not is_read for each in some]
    dice, labels, drawn = random.Random(0), [is_read for is_read, _ in phases], []
    for _ in range(DRAWS):
        dice.shuffle(labels)
        halves = [
            p99([each for label, (_, some) in zip(labels, phases, strict=True) if label is half for each in some])
            for half in (True, False)
        ]
        drawn.append(halves[0] / halves[1])
    return p99(during), p99(paused), p99(drawn)


def is_too_high(during: float, paused: float, noise: float) -> bool:
    """Return whether the goal is missed by more than chance explains in 99 of 100 comparisons."""
    return during / paused >= GOAL_RATIO * noise


def is_read_in(phase: int) -> bool:
    """Return whether the provider answers in a phase."""
    return phase % 2 == 0


def undisturbed(rounds: list[Round], others: Others) -> list[Round]:
    """Return the rounds without the phases in which other programs were busy; all, if hardly any would be left."""
    phases = {phase for each in rounds for phase in each.taken}
    busy = {phase for phase in phases if others.shares.get(phase, 0.0) > MOST_OF_OTHERS}
    return [each.without(busy) for each in rounds] if len(phases - busy) >= len(phases) / 4 else rounds


def p99(seconds: list[float]) -> float:
    """Return the 99th percentile."""
    return statistics.quantiles(seconds, n=100)[98]


def reading_seconds(began: float, ended: float) -> float:
    """Return how much of the time from *began* to *ended* the provider answered."""
    phases = range(int(began // PHASE_SECONDS), int(ended // PHASE_SECONDS) + 1)
    bounds = [(max(began, each * PHASE_SECONDS), min(ended, (each + 1) * PHASE_SECONDS)) for each in phases]
    return sum(end - start for each, (start, end) in zip(phases, bounds, strict=True) if is_read_in(each))
