"""Circuits: an endpoint that keeps timing out gets one probe at a time. Pure but for the clock given.

A closed circuit lets everything through. After `TIMEOUTS_TO_OPEN` timeouts without an answer in between it opens: what
is owed is deferred, not counted, for waits that grow; one delivery at a time goes through as a probe, which counts. Any
answer, a refusal too, closes it: only an endpoint that uses our capacity for long without an answer is kept out. So a
name whose servers do not answer, or a connection that breaks after many seconds, counts as a timeout, too.
"""

from typing import Final

import msgspec

from dispatcher.channels.outcome import NotTold, Outcome, Told
from shared.backoff import DEFER_WAITS_SECONDS

TIMEOUTS_TO_OPEN: Final = 5
"""In a row. Fewer would open on an application's restart; more would let its lane hang for minutes."""

SLOW_SECONDS: Final = 3.0
"""An attempt that fails without an answer after so long has used as much capacity as one that timed out."""

_WITHOUT_ANSWER: Final = frozenset({"host_not_found", "refused", "reset", "tls", "network"})


class Admitted(msgspec.Struct, frozen=True):
    """Leave to make an attempt; to be handed back with its outcome."""

    is_probe: bool


Urls = tuple[str, str | None]
"""An endpoint's URL and its failover's."""


class Circuit:
    """One endpoint's, in one process, for as long as it keeps its *urls*."""

    def __init__(self, urls: Urls = ("", None)) -> None:
        self.urls = urls
        self._timeouts = 0
        self._probing = False
        self._next_probe_at = 0.0

    @property
    def is_open(self) -> bool:
        """Does the endpoint get no attempts now but probes?"""
        return self._timeouts >= TIMEOUTS_TO_OPEN

    @property
    def is_unused(self) -> bool:
        """Is it as a new one: no timeout since the last answer?"""
        return self._timeouts == 0

    @property
    def wait_seconds(self) -> float:
        """How long to defer what comes while it is open: growing with every probe that timed out, to 15 minutes."""
        failed_probes = max(0, self._timeouts - TIMEOUTS_TO_OPEN)
        return DEFER_WAITS_SECONDS[min(failed_probes, len(DEFER_WAITS_SECONDS) - 1)]

    def refuses(self, now: float) -> bool:
        """Is it open at *now* (monotonic seconds), and wants no probe?"""
        return self.is_open and (self._probing or now < self._next_probe_at)

    def admit(self, now: float) -> Admitted | None:
        """Let a delivery be attempted at *now* (monotonic seconds), as the probe if the circuit is open; or not."""
        if self.refuses(now):
            return None
        self._probing |= self.is_open
        return Admitted(is_probe=self.is_open)

    def report(self, admitted: Admitted, outcome: Outcome, now: float, seconds: float = 0.0) -> None:
        """Take the outcome of an attempt that took *seconds* and was admitted, maybe before the circuit opened."""
        if admitted.is_probe:
            self._probing = False
        if _is_timeout(outcome, seconds):
            # What was under way when it opened says nothing new: only a probe makes the waits grow.
            if admitted.is_probe or not self.is_open:
                self._timeouts += 1
                self._next_probe_at = now + self.wait_seconds
        elif isinstance(outcome, Told | NotTold):
            self._timeouts = 0


def _is_timeout(outcome: Outcome, seconds: float) -> bool:
    if not isinstance(outcome, NotTold):
        return False
    return outcome.error == "timeout" or (outcome.error in _WITHOUT_ANSWER and seconds >= SLOW_SECONDS)
