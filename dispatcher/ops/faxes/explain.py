"""Why a delivery is still pending, why an endpoint is owed nothing, how a fax stands: in sentences. Pure."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import msgspec

from dispatcher.ops.dead.causes import UNANSWERED, cause_in_words
from dispatcher.ops.faxes.bodies import Delivery, DeliveryState, EventWithContent, Fax, RecordedEvent, WebhookCounts
from dispatcher.ops.words import SKIPPED, STATES, SUCCESSOR, clock, counted, moment
from dispatcher.policy.endpoint import Endpoint
from dispatcher.policy.routing import route
from shared.domain import Event, Failure, Phase


class DeliveryStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger says of a delivery, as far as it explains how it stands.

    `attempts_before_replay`: those of `attempts_made` that were made before it was replayed last; 0 if it never was.
    `resent_from`: it had been told at this attempt when it was sent again; None if it never was.
    """

    state: DeliveryState
    reason: str | None
    attempts_made: int
    attempts_before_replay: int = 0
    resent_from: int | None = None
    due_at: datetime
    lease_until: datetime | None
    sweeps: int
    endpoint_is_enabled: bool
    endpoint_is_removed: bool
    is_parked: bool = False

    @property
    def is_owed(self) -> bool:
        """Can there be another attempt?"""
        return self.state in {"pending", "retrying"}


class EndpointThen(msgspec.Struct, frozen=True):
    """An endpoint as it is set now, and since when."""

    endpoint: Endpoint
    created_at: datetime
    updated_at: datetime
    is_gone: bool


def notes_on(event: RecordedEvent) -> list[str]:
    """Return what is particular about an event in a list, each the rest of a sentence."""
    said = (
        (event.is_overtaken, "overtaken: a later stage of the fax is known"),
        (event.repeated_by_list, "a repetition: this ending was reported before"),
        (event.is_pruned, "its content is pruned"),
    )
    return [note for is_so, note in said if is_so]


def in_words(failure: Failure | None) -> str:
    """Return why a fax failed, as the provider said it; empty if it said nothing.

    >>> in_words(Failure(type="lineError", code="42", message="Busy"))
    'Busy (lineError 42)'
    """
    if failure is None:
        return ""
    codes = " ".join(each for each in (failure.type, failure.code) if each)
    return f"{failure.message} ({codes})" if failure.message and codes else failure.message or codes


def webhooks_in_words(counts: WebhookCounts) -> str:
    """Return how a fax's webhooks stand, the worst first; empty without one.

    >>> webhooks_in_words(WebhookCounts(told=2, dead=1))
    '1 dead, 2 delivered'
    """
    by_state = {state: getattr(counts, state) for state in ("dead", "retrying", "pending", "told", "skipped")}
    return ", ".join(f"{count} {STATES[state]}" for state, count in by_state.items() if count)


def is_leased(status: DeliveryStatus, now: datetime) -> bool:
    """Does a live process hold it?"""
    return status.is_owed and status.lease_until is not None and status.lease_until > now


def explain(status: DeliveryStatus, now: datetime) -> str:
    """Return how a delivery stands and what comes next."""
    match status.state:
        case "told":
            return f"delivered at attempt {status.attempts_made}" if status.attempts_made else "delivered"
        case "skipped":
            return _why_skipped(status)
        case "dead":
            lately, before = _attempts(status)
            if status.reason == "timeout" and not lately:
                before_that = f", {counted(before, 'attempt')} before its replay" if before else ""
                return f"given up{before_that}: {UNANSWERED}"
            tried = f"after {counted(lately, 'attempt')}" if lately else "before any attempt"
            tried += f" since its replay, {before} before" if before else ""
            return f"given up {tried}: {cause_in_words(status.reason)}"
    return f"not delivered yet: {_what_next(status, now)}"


def _why_skipped(status: DeliveryStatus) -> str:
    reason, made = status.reason or "no reason was recorded", status.attempts_made
    if reason == "discarded":
        return f"discarded after {counted(made, 'attempt')}" if made else "discarded before any attempt"
    if reason.startswith(SUCCESSOR):
        return f"sent to its endpoint's successor {reason.removeprefix(SUCCESSOR)} instead"
    return f"skipped: {SKIPPED.get(reason, reason)}"


def _what_next(status: DeliveryStatus, now: datetime) -> str:
    attempt = f"attempt {status.attempts_made + 1}"
    lately, before = _attempts(status)
    again = "sent again" if status.resent_from == before else "replayed"
    so_far = f"{again} after {counted(before, 'attempt')}; " if before else ""
    so_far += f"{counted(lately, 'attempt')} failed; " if lately else ""
    if is_leased(status, now):
        return f"{so_far}a dispatcher is making {attempt}, or holds it in the endpoint's lane"
    if status.lease_until is not None:
        ago = moment(status.lease_until, now)
        return f"{so_far}the dispatcher that held it is gone (its lease ended {ago}); the sweeper will requeue it"
    if (status.endpoint_is_removed or not status.endpoint_is_enabled) and not status.is_parked:
        why = "was removed" if status.endpoint_is_removed else "is disabled"
        return f"{so_far}its endpoint {why}, so it becomes a dead letter when {attempt} is due, {_due(status, now)}"
    if status.is_parked:
        return f"{so_far}its endpoint is paused; {attempt} waits until that is resumed and comes to it"
    if status.due_at > now:
        deferred = "" if lately else "deferred (a full lane, an open circuit, or a failure on our side); "
        return f"{so_far}{deferred}{attempt} is due {_due(status, now)}"
    swept = f", and was requeued {counted(status.sweeps, 'time')} without progress" if status.sweeps else ""
    return f"{so_far}{attempt} was due {_due(status, now)} and waits for a dispatcher{swept}"


def _attempts(status: DeliveryStatus) -> tuple[int, int]:
    """Return how many were made since it was replayed, if it was, and how many before."""
    return status.attempts_made - status.attempts_before_replay, status.attempts_before_replay


def _due(status: DeliveryStatus, now: datetime) -> str:
    return f"{moment(status.due_at, now)} ({clock(status.due_at)})"


def why_untold(event: Event, recorded_at: datetime, then: EndpointThen, others: Sequence[Endpoint]) -> str:
    """Return why *then* is owed nothing for *event*; *others* are the endpoints that could apply, itself included."""
    endpoint = then.endpoint
    finished = msgspec.structs.replace(event, phase=Phase.POSTFLIGHT)
    owed = [each.endpoint for each in route(finished, others)]
    reasons: tuple[tuple[bool, str], ...] = (
        (then.created_at > recorded_at, f"it was added later, {clock(then.created_at)}"),
        (then.is_gone, "it answered 410, so it was disabled; `faxhook endpoints set ID --enable` enables it again"),
        (not endpoint.enabled, "it is disabled"),
        (
            endpoint.direction not in {"any", event.direction},
            f"it is for {endpoint.direction} faxes only, and this one was {event.direction}",
        ),
        (
            not route(finished, [endpoint]),
            "it is for other faxes: a number's endpoint gets what is received at that number",
        ),
        (endpoint not in owed, f"a more specific endpoint replaces it: {', '.join(map(_named, owed))}"),
        (
            not endpoint.inflight and event.phase is Phase.INFLIGHT,
            "it wants finished faxes only, and this one is still under way as far as we know",
        ),
        (
            then.updated_at > recorded_at,
            f"it did not apply at that time; it was changed {clock(then.updated_at)}, and would apply now",
        ),
    )
    return next(
        (why for applies, why in reasons if applies),
        "it applies as it is set now, but that was not committed yet when the event was taken in",
    )


def _named(endpoint: Endpoint) -> str:
    return str(endpoint.id) if endpoint.enabled else f"{endpoint.id} (disabled: it replaces others all the same)"


def summarize(fax: Fax, events: Sequence[EventWithContent], deliveries: Sequence[Delivery]) -> str:
    """Return how a fax stands and what became of its deliveries."""
    state = f"{fax.state} (different endings were reported)" if fax.conflicting else str(fax.state)
    state += "" if fax.stalled_at is None else f" (stalled: without an ending at {clock(fax.stalled_at)})"
    counts = Counter(STATES[delivery.state] for delivery in deliveries)
    owed = f"{counted(len(deliveries), 'delivery')}: {', '.join(f'{n} {word}' for word, n in counts.items())}"
    return f"{state}, {counted(len(events), 'event')}, {owed if deliveries else 'no endpoint applied'}"
