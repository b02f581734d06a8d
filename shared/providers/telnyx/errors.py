"""Telnyx's `failure_reason`: is a failure permanent?

The set is open (a plain text in Telnyx's API types). A reason that is not here, or of which it is not known whether
another try helps, is neither permanent nor passing: None. A reason never decides the outcome, although samples print
`success` and `received`: the event type alone does.
"""

from typing import Final

PASSING: Final = frozenset(
    {
        "connection_channel_limit_exceeded",
        "fax_initial_communication_timeout",
        "fax_signaling_error",
        "invalid_ecm_response_from_receiver",
        "outbound_profile_channel_limit_exceeded",
        "outbound_profile_daily_spend_limit_exceeded",
        "receiver_call_dropped",
        "receiver_communication_error",
        "receiver_no_answer",
        "receiver_no_response",
        "receiver_recovery_on_timer_expire",
        "service_unavailable",
        "user_busy",
        "user_channel_limit_exceeded",
    }
)
"""The same fax may well go through later: the line was busy, a limit was reached, the machines misunderstood."""

PERMANENT: Final = frozenset(
    {
        "account_disabled",
        "destination_invalid",
        "destination_not_in_countries_whitelist",
        "destination_not_in_service_plan",
        "file_format_invalid",
        "file_size_limit_exceeded",
        "no_outbound_profile",
        "page_count_limit_exceeded",
        "receiver_decline",
        "receiver_incompatible_destination",
        "receiver_invalid_number_format",
        "receiver_unallocated_number",
        "unverified_destination_not_allowed",
        "unverified_origination_number",
    }
)
"""The same fax to the same number fails again until a person changes the number, the file or the account."""

INBOUND_ONLY: Final = frozenset(
    {"carrier_lost", "received", "sender_call_dropped", "sender_canceled", "sender_communication_error"}
)
"""Reasons that only a received fax can fail with: they tell its direction where the payload does not."""


def is_permanent(reason: str | None) -> bool | None:
    """Return True if the same fax fails again, False if another try may help, None if that is not known.

    >>> [is_permanent(reason) for reason in ("receiver_decline", "user_busy", "destination_unreachable", None)]
    [True, False, None, None]
    """
    if reason in PERMANENT:
        return True
    return False if reason in PASSING else None
