"""What the dispatcher measures: each metric's name, meaning and labels. Pure data; `metrics` counts them."""

from typing import Final

from dispatcher.policy.verdict import GONE
from shared.broker import WORK_DELIVERIES, WORK_EVENTS
from shared.metrics import LONG_SECONDS, OTHER, SHARED, Measure

ENDPOINT_ERRORS: Final = (
    *("timeout", "host_not_found", "tls", "refused", "reset", "bad_answer", "network", "egress_refused", "proxy_5xx"),
    *("http_3xx", "http_401", "http_403", "http_404", "http_410", "http_429", "http_4xx", "http_5xx"),
    *("bad_address", "smtp_4xx", "smtp_5xx"),
)
"""What an attempt's error becomes as a label, where the endpoint failed."""

OUR_ERRORS: Final = (
    *("crashed", "unknown_format", "media_unavailable", "proxy_away", "smtp_not_configured", "smtp_busy"),
    *("smtp_connect_timeout", "smtp_disconnected", "smtp_login", "smtp_timeout", "smtp_tls", "smtp_unreachable"),
)
"""The same for our own trouble, which is not counted as an attempt."""

CAUSES: Final = (*ENDPOINT_ERRORS, GONE, "endpoint_removed", "endpoint_disabled", "stuck", "unreadable", OTHER)
"""Of dead deliveries, as a label."""

EVENTS: Final = Measure(
    name="faxhook_events_total",
    kind="counter",
    meaning="events by fate: taken into the ledger, known already, or unreadable and moved to `dead.events`",
    labels={"fate": ("accepted", "repeated", "dead")},
    alert="`dead` at all: two versions of us do not understand each other",
)
UNOWED: Final = Measure(
    name="faxhook_unowed_events_total",
    kind="counter",
    meaning="events that are owed to no endpoint",
    alert="all of them, where endpoints are set",
)
TAKEN_SECONDS: Final = Measure(
    name="faxhook_taken_seconds",
    kind="histogram",
    meaning="from a callback's receipt until its event is in the ledger",
    buckets=LONG_SECONDS,
    alert="p99 over 10 s: the dispatchers do not keep up",
)
ATTEMPTS: Final = Measure(
    name="faxhook_attempts_total",
    kind="counter",
    meaning="attempts by outcome and error; `not_tried`: our own trouble, nothing was sent or counted",
    labels={"outcome": ("told", "not_told", "not_tried"), "code": ("none", *ENDPOINT_ERRORS, *OUR_ERRORS, OTHER)},
    alert="no `told` while something is due; `not_tried` at all",
)
ATTEMPT_SECONDS: Final = Measure(
    name="faxhook_attempt_seconds",
    kind="histogram",
    meaning="one attempt, answer and failover included",
    labels={"outcome": ("told", "not_told", "not_tried")},
    buckets=LONG_SECONDS,
)
TOLD_SECONDS: Final = Measure(
    name="faxhook_told_seconds",
    kind="histogram",
    meaning="from a callback's receipt to its webhook's 2xx, first attempts only",
    buckets=LONG_SECONDS,
    alert="p99 over 10 s",
)
DEAD: Final = Measure(
    name="faxhook_dead_deliveries_total",
    kind="counter",
    meaning="deliveries given up, by cause",
    labels={"cause": CAUSES},
    alert="any: a person has to look (`faxhook dead list`)",
)
DEFERRED: Final = Measure(
    name="faxhook_deferred_deliveries_total",
    kind="counter",
    meaning="deliveries deferred without an attempt: a full lane, an open circuit, our own trouble",
)
SWEEPS: Final = Measure(
    name="faxhook_sweeps_total",
    kind="counter",
    meaning="looks for what is due without a message",
    labels={"result": ("done", "failed")},
    alert="none done for minutes by any dispatcher",
)
SWEPT: Final = Measure(
    name="faxhook_swept_deliveries_total",
    kind="counter",
    meaning="deliveries put back by the sweeper: a dispatcher died, or the broker lost messages",
    alert="a rate that does not go back to 0",
)
LEASED: Final = Measure(
    name="faxhook_leased_deliveries",
    kind="gauge",
    meaning="deliveries this process holds: waiting, under way or not yet recorded; at 4,000 consuming pauses",
    alert="at 4,000 for minutes",
)
UNRECORDED: Final = Measure(
    name="faxhook_unrecorded_outcomes",
    kind="gauge",
    meaning="outcomes of attempts that wait to be written into the ledger",
    alert="over 1,000: a crash now would tell as many twice",
)
OPEN_CIRCUITS: Final = Measure(
    name="faxhook_open_circuits",
    kind="gauge",
    meaning="endpoints that get no attempts of this process but probes, because they keep timing out",
    alert="any for an hour",
)
CONSUMING: Final = Measure(
    name="faxhook_consuming",
    kind="gauge",
    meaning="1 if the queue is being consumed",
    labels={"queue": (WORK_EVENTS, WORK_DELIVERIES)},
    alert="0 for a minute",
)
OWED: Final = Measure(
    name="faxhook_owed_deliveries",
    kind="gauge",
    meaning="deliveries in the ledger that are not settled, at most a million; one dispatcher reports it",
    alert="growing for a day",
)
DUE: Final = Measure(
    name="faxhook_due_deliveries",
    kind="gauge",
    meaning="of these, those that are due and not leased, at most 100,000; one dispatcher reports it",
)
OVERDUE_SECONDS: Final = Measure(
    name="faxhook_oldest_overdue_seconds",
    kind="gauge",
    meaning="how long ago the oldest of these became due; one dispatcher reports it",
    alert="over 5 minutes",
)

READINGS: Final = Measure(
    name="faxhook_list_readings_total",
    kind="counter",
    meaning="readings of the providers' lists by outcome; one dispatcher at a time reads",
    labels={"provider": ("phaxio", "telnyx", "sinch"), "outcome": ("done", "partly", "failed")},
    alert="none `done` for an hour where a key is set",
)
MISSED: Final = Measure(
    name="faxhook_missed_events_total",
    kind="counter",
    meaning="events that no callback told and the provider's list did",
    labels={"provider": ("phaxio", "telnyx", "sinch")},
    alert="any: find out why its callbacks do not come",
)
WRONG_ACCOUNTS: Final = Measure(
    name="faxhook_wrong_accounts_total",
    kind="counter",
    meaning="daily accounts that do not add up, or whose list was not read; counted each time that they are drawn up",
    labels={
        "provider": ("phaxio", "telnyx", "sinch"),
        "verdict": ("missing", "only_ours", "partly_read", "not_read"),
    },
    alert="any: `faxhook account` says what is missing, or why that is not known",
)
STALLED: Final = Measure(
    name="faxhook_stalled_faxes_total",
    kind="counter",
    meaning="faxes that had no ending for longer than `STALLED_AFTER`; one dispatcher at a time looks",
    labels={"provider": ("phaxio", "telnyx", "sinch", "asterisk")},
    alert="any: ask the provider what became of them",
)
ALERT_KINDS: Final = (
    *("endpoint_failing", "endpoint_gone", "dead_letters", "provider_refused"),
    *("silence", "faxes_stalled", "gap_repaired", "account_mismatch"),
)
OPEN_ALERTS: Final = Measure(
    name="faxhook_open_alerts",
    kind="gauge",
    meaning="alerts that are not resolved; reported by the dispatcher that looks",
    labels={"kind": ALERT_KINDS},
    alert="`silence`, `provider_refused`: no faxes come",
)
ALERT_MESSAGES: Final = Measure(
    name="faxhook_alert_messages_total",
    kind="counter",
    meaning="tries to send a message of an alert, by outcome",
    labels={"outcome": ("sent", "failed")},
    alert="`failed` and no `sent`: the operator is told nothing",
)

MEASURES: Final = (
    *(EVENTS, UNOWED, TAKEN_SECONDS, ATTEMPTS, ATTEMPT_SECONDS, TOLD_SECONDS, DEAD, DEFERRED, SWEEPS, SWEPT),
    *(LEASED, UNRECORDED, OPEN_CIRCUITS, CONSUMING, OWED, DUE, OVERDUE_SECONDS, READINGS, MISSED),
    *(STALLED, WRONG_ACCOUNTS, OPEN_ALERTS, ALERT_MESSAGES),
    *SHARED,
)
