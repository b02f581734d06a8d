"""Why a delivery is not told yet, why an endpoint is owed nothing, how a fax stands: in sentences. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from dispatcher.ops.faxes.bodies import Delivery, DeliveryState, EventWithContent
from dispatcher.ops.words import SKIPPED, cause_in_words, counted, moment
from dispatcher.policy.endpoint import Endpoint
from dispatcher.policy.routing import route
from shared.domain import Event, Phase

CLOCKS_APART: Final = timedelta(seconds=2)
"""Processes read the endpoints once a second; what lies closer together than this says nothing."""


class DeliveryStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger says of a delivery, as far as it explains how it stands.

    `attempts_before_replay`: those of `attempts_made` that were made before it was replayed last; 0 if it never was.
    """

    state: DeliveryState
    reason: str | None
    attempts_made: int
    attempts_before_replay: int = 0
    due_at: datetime
    lease_until: datetime | None
    sweeps: int
    settled_at: datetime | None
    endpoint_is_enabled: bool
    endpoint_is_removed: bool


class EndpointThen(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as it is set now, and since when."""

    endpoint: Endpoint
    created_at: datetime
    updated_at: datetime
    is_gone: bool


def is_leased(standing: DeliveryStatus, now: datetime) -> bool:
    """Does a live process hold it?"""
    return standing.state in {"pending", "retrying"} and standing.lease_until is not None and standing.lease_until > now


def explain(standing: DeliveryStatus, now: datetime) -> str:
    """Return how a delivery stands and what comes next."""
    match standing.state:
        case "told":
            return f"told at attempt {standing.attempts_made}" if standing.attempts_made else "told"
        case "skipped":
            reason = standing.reason or ""
            return f"not sent: {SKIPPED.get(reason, reason or 'nobody wrote down why')}"
        case "dead":
            lately, before = _attempts(standing)
            tried = counted(lately, "attempt") if lately else "no attempt"
            tried += f" since its replay, {before} before" if before else ""
            return f"given up after {tried}: {cause_in_words(standing.reason)}"
    return f"not told yet: {_what_next(standing, now)}"


def _what_next(standing: DeliveryStatus, now: datetime) -> str:
    attempt = f"attempt {standing.attempts_made + 1}"
    lately, before = _attempts(standing)
    so_far = f"replayed after {counted(before, 'attempt')}; " if before else ""
    so_far += f"{counted(lately, 'attempt')} failed; " if lately else ""
    if is_leased(standing, now):
        return f"{so_far}a dispatcher is at {attempt}, or holds it in the endpoint's lane"
    if standing.lease_until is not None:
        ago = moment(standing.lease_until, now)
        return f"{so_far}the dispatcher that held it is gone (its lease ended {ago}); the sweeper puts it back"
    if standing.endpoint_is_removed or not standing.endpoint_is_enabled:
        why = "was removed" if standing.endpoint_is_removed else "is disabled"
        return f"{so_far}its endpoint {why}, so it becomes a dead letter when {attempt} is due, {_due(standing, now)}"
    if standing.due_at > now:
        held_back = "" if lately else "held back (a full lane, an open circuit, or our own trouble); "
        return f"{so_far}{held_back}{attempt} is due {_due(standing, now)}"
    swept = f", and was put back {counted(standing.sweeps, 'time')} without progress" if standing.sweeps else ""
    return f"{so_far}{attempt} was due {_due(standing, now)} and waits for a dispatcher{swept}"


def _attempts(standing: DeliveryStatus) -> tuple[int, int]:
    """Return how many were made since it was replayed, if it was, and how many before."""
    return standing.attempts_made - standing.attempts_before_replay, standing.attempts_before_replay


def _due(standing: DeliveryStatus, now: datetime) -> str:
    return f"{moment(standing.due_at, now)} ({standing.due_at:%Y-%m-%d %H:%M:%S} UTC)"


def why_untold(event: Event, recorded_at: datetime, then: EndpointThen, others: Sequence[Endpoint]) -> str:
    """Return why *then* is owed nothing for *event*; *others* are the endpoints that could apply, itself included."""
    endpoint = then.endpoint
    finished = msgspec.structs.replace(event, phase=Phase.POSTFLIGHT)
    owed = [each.endpoint for each in route(finished, others)]
    is_for_others = not route(finished, [endpoint])
    reasons: tuple[tuple[bool, str], ...] = (
        (
            then.created_at > recorded_at + CLOCKS_APART,
            f"it was added later, {then.created_at:%Y-%m-%d %H:%M:%S} UTC",
        ),
        (
            then.is_gone,
            "it answered 410, so it is switched off; `faxhook endpoints set ID --enable` forgets that",
        ),
        (not endpoint.enabled, "it is disabled"),
        (
            endpoint.direction not in {"any", event.direction},
            f"it is for {endpoint.direction} faxes only, and this one was {event.direction}",
        ),
        (is_for_others, "it is for other faxes: a number's endpoint is told of what that number receives"),
        (endpoint not in owed, f"a more specific endpoint takes its place: {', '.join(str(each.id) for each in owed)}"),
        (
            not endpoint.inflight and event.phase is Phase.INFLIGHT,
            "it wants finished faxes only, and this one is still under way as far as we know",
        ),
        (
            then.updated_at > recorded_at,
            f"it did not apply then; it was changed {then.updated_at:%Y-%m-%d %H:%M:%S} UTC, and now it would",
        ),
    )
    return next(
        (why for applies, why in reasons if applies),
        "it applies as it is set now, but the dispatcher did not know it yet when the event came",
    )


def summarize(
    state: str, is_conflicting: bool, events: Sequence[EventWithContent], deliveries: Sequence[Delivery]
) -> str:
    """Return how a fax stands and who was told of it."""
    facts = [f"{state}" + (" (different endings were reported)" if is_conflicting else "")]
    facts.append(counted(len(events), "event"))
    if not deliveries:
        facts.append("nobody was to be told")
        return ", ".join(facts)
    words = {
        "told": "told",
        "pending": "not told yet",
        "retrying": "not told yet",
        "dead": "given up",
        "skipped": "not sent",
    }
    counts: dict[str, int] = {}
    for delivery in deliveries:
        word = words[delivery.state]
        counts[word] = counts.get(word, 0) + 1
    facts.append(
        counted(len(deliveries), "delivery", "deliveries") + ": " + ", ".join(f"{n} {w}" for w, n in counts.items())
    )
    return ", ".join(facts)
