"""How a delivery stands, and why an endpoint is owed nothing, are said in one sentence for every case."""

from datetime import timedelta
from typing import Any

import pytest
from dispatchers import an_event

from dispatcher.ops.faxes.explain import DeliveryStatus, EndpointThen, explain, why_untold
from dispatcher.policy.endpoint import Endpoint
from shared.domain import Direction, EventType, utc_now
from shared.ids import uuid7

NOW = utc_now()
MINUTE = timedelta(minutes=1)


def status(**fields: Any) -> DeliveryStatus:
    facts = {
        "state": "retrying",
        "reason": None,
        "attempts_made": 1,
        "due_at": NOW + 5 * MINUTE,
        "lease_until": None,
        "sweeps": 0,
        "endpoint_is_enabled": True,
        "endpoint_is_removed": False,
    }
    return DeliveryStatus(**{**facts, **fields})


@pytest.mark.parametrize(
    ("of", "sentence"),
    [
        (status(state="told"), "delivered at attempt 1"),
        (status(state="told", attempts_made=0), "delivered"),
        (status(state="skipped", reason="overtaken"), "skipped: a later event of the fax was known already"),
        (status(state="skipped", reason=None), "skipped: no reason was recorded"),
        (status(state="dead", reason="http_503"), "given up after 1 attempt: it answered 503"),
        (
            status(state="dead", reason="timeout", attempts_made=0),
            "given up: its endpoint had not answered for as long as all waits of BACKOFF take together, so this was never",
        ),
        (
            status(state="dead", reason="timeout", attempts_made=17, attempts_before_replay=17),
            "given up, 17 attempts before its replay: its endpoint had not answered for as long as",
        ),
        (status(state="dead", reason="gone", attempts_made=0), "given up before any attempt: it answered 410"),
        (status(state="skipped", reason="discarded", attempts_made=17), "discarded after 17 attempts"),
        (status(state="skipped", reason="discarded", attempts_made=0), "discarded before any attempt"),
        (
            status(attempts_before_replay=1, resent_from=1),
            "not delivered yet: sent again after 1 attempt; deferred",
        ),
        (status(attempts_before_replay=1), "not delivered yet: replayed after 1 attempt; deferred"),
        (status(lease_until=NOW + MINUTE), "1 attempt failed; a dispatcher is making attempt 2, or holds it in the"),
        (status(lease_until=NOW - MINUTE), "its lease ended 1 min ago); the sweeper will requeue it"),
        (
            status(endpoint_is_enabled=False),
            "its endpoint is disabled, so it becomes a dead letter when attempt 2 is due",
        ),
        (status(endpoint_is_removed=True), "its endpoint was removed, so it becomes a dead letter"),
        (status(is_parked=True), "1 attempt failed; its endpoint is paused; attempt 2 waits until that is resumed"),
        (status(), "not delivered yet: 1 attempt failed; attempt 2 is due in 5 min ("),
        (status(state="pending", attempts_made=0), "not delivered yet: deferred (a full lane, an open circuit"),
        (status(due_at=NOW - MINUTE, sweeps=2), "was due 1 min ago"),
        (status(due_at=NOW - MINUTE, sweeps=2), "waits for a dispatcher, and was requeued 2 times without progress"),
    ],
)
def test_every_state_of_a_delivery_has_its_sentence(of: DeliveryStatus, sentence: str) -> None:
    assert sentence in explain(of, NOW)


def endpoint(**fields: Any) -> Endpoint:
    return Endpoint(**{"id": uuid7(), "url": "https://example.com/", "tokens": ("t",), **fields})


def then(of: Endpoint, **fields: Any) -> EndpointThen:
    facts = {"created_at": NOW - 9 * MINUTE, "updated_at": NOW - 9 * MINUTE, "is_gone": False}
    return EndpointThen(endpoint=of, **{**facts, **fields})


@pytest.mark.parametrize(
    ("candidate", "sentence"),
    [
        (then(endpoint(), created_at=NOW + MINUTE), "it was added later"),
        (then(endpoint(enabled=False), is_gone=True), "it answered 410"),
        (then(endpoint(enabled=False)), "it is disabled"),
        (then(endpoint(direction="received")), "it is for received faxes only, and this one was sent"),
        (then(endpoint(scope="number", match="+15550009999", direction="any")), "it is for other faxes"),
        (then(endpoint(), updated_at=NOW + MINUTE), "it did not apply at that time; it was changed"),
        (then(endpoint()), "not committed yet when the event was taken in"),
    ],
)
def test_every_endpoint_that_is_owed_nothing_has_its_reason(candidate: EndpointThen, sentence: str) -> None:
    event = an_event(1, EventType.DELIVERED, direction=Direction.SENT)
    assert sentence in why_untold(event, NOW, candidate, [candidate.endpoint])


def test_an_event_of_a_fax_under_way_is_not_for_an_endpoint_of_finished_faxes() -> None:
    candidate = then(endpoint())
    assert "finished faxes only" in why_untold(an_event(1, EventType.SENDING), NOW, candidate, [candidate.endpoint])
