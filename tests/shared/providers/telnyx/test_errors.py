"""Telnyx: every documented reason why a fax failed is kept, with what is known of its permanence; none is invented."""

import itertools

import pytest
from telnyx_callbacks import REASONS, envelope, parse

from shared.domain import EventType, Failure

PASSING = {
    *("user_busy", "receiver_no_answer", "receiver_no_response", "receiver_call_dropped"),
    *("receiver_recovery_on_timer_expire", "receiver_communication_error", "fax_initial_communication_timeout"),
    *("invalid_ecm_response_from_receiver", "service_unavailable", "fax_signaling_error"),
    *("user_channel_limit_exceeded", "connection_channel_limit_exceeded", "outbound_profile_channel_limit_exceeded"),
    "outbound_profile_daily_spend_limit_exceeded",
}
UNKNOWN = {
    *("media_processing_exception", "file_download_failed", "destination_unreachable", "success", "received"),
    *("carrier_lost", "sender_call_dropped", "sender_canceled", "sender_communication_error"),
}


def test_the_documented_reasons_are_37():
    assert len({*REASONS["outbound"], *REASONS["inbound"]}) == 37


@pytest.mark.parametrize(
    ("direction", "reason"),
    [*itertools.product(["outbound"], REASONS["outbound"]), *itertools.product(["inbound"], REASONS["inbound"])],
)
def test_every_documented_reason_is_kept_and_its_permanence_known(direction, reason):
    event = parse(envelope("fax.failed", {"direction": direction, "failure_reason": reason, "status": "failed"}))
    permanent = None if reason in UNKNOWN else reason not in PASSING
    assert event.type is (EventType.FAILED if direction == "outbound" else EventType.RECEIVE_FAILED)
    assert event.failure == Failure(code=reason, message=reason, permanent=permanent)


def test_an_unknown_reason_is_kept_and_no_one_knows_whether_it_is_for_good():
    event = parse(envelope("fax.failed", {"direction": "outbound", "failure_reason": "line_eaten_by_mice"}))
    assert event.failure == Failure(code="line_eaten_by_mice", message="line_eaten_by_mice", permanent=None)


def test_the_finer_reason_is_the_message():
    payload = {"failure_reason": "user_busy", "internal_failure_reason": "busy after two rings"}
    failure = parse(envelope("fax.failed", payload)).failure
    assert (failure.code, failure.message) == ("user_busy", "busy after two rings")


def test_a_failure_without_any_reason_has_none_invented():
    assert parse(envelope("fax.failed", {"failure_reason": None})).failure is None


def test_an_outcome_is_never_read_from_the_reason():
    assert parse(envelope("fax.delivered", {"failure_reason": "user_busy"})).failure is None
    assert parse(envelope("fax.failed", {"failure_reason": "success"})).type is EventType.FAILED
