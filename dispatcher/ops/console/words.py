"""Counts, codes and names as the pages show them: the filters of the templates. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from markupsafe import Markup, escape

from dispatcher.channels.phrases import PHRASES, in_short
from dispatcher.lists.accounts.account import Account
from dispatcher.ops.audit.details import details_of
from dispatcher.ops.dead.causes import cause_in_words
from dispatcher.ops.endpoints.reading.describe import sentence_of_damage
from dispatcher.ops.endpoints.reading.rates import percent, rate_in_words
from dispatcher.ops.endpoints.urls import name_of, place_of
from dispatcher.ops.words import STATES, clock, counted, duration, moment
from dispatcher.policy.endpoint import Endpoint, FaxMatch

TONES: Final[Mapping[str, str]] = {
    "told": "good", "healthy": "good", "done": "good",
    "dead": "bad", "failing": "bad", "gone": "bad", "damaged": "bad",
    "paused": "waiting", "pending": "waiting", "retrying": "waiting", "running": "waiting", "waiting": "waiting",
    "removed": "faint", "skipped": "faint", "disabled": "faint", "idle": "faint",
}  # fmt: skip
"""How a state or verdict looks; any other looks plain. An event's type looks as its phrase says."""

_STATES: Final[Mapping[str, str]] = {
    **STATES,
    "gone": "gone (410)",
    "idle": "no recent attempts",
    "running": "in progress",
    "waiting": "waiting for a dispatcher",
    "open": "complete so far",
    "begun": "complete since it was read first",
    "only_ours": "not on the list",
    "partly_read": "not wholly read",
    "not_read": "not known",
    "no_list": "no list",
}
"""Of deliveries and jobs, and verdicts on endpoints and accounts; those that are not here are shown as they are."""

AUDITED: Final[Mapping[str, str]] = {
    "endpoint.added": "added an endpoint",
    "endpoint.changed": "changed an endpoint",
    "endpoint.removed": "removed an endpoint",
    "alerts.tested": "sent a test message to the operator",
    "endpoint.tested": "sent a test event to an endpoint",
    "endpoint.token_add": "added a token to an endpoint",
    "endpoint.token_promote": "made the newest token the first",
    "endpoint.token_drop": "dropped the older tokens",
    "dead.replay": "replayed dead letters",
    "dead.discard": "discarded dead letters",
    "delivery.resend": "sent deliveries again",
    "list.exported": "exported a list",
    "endpoint.recover": "recovered what an endpoint was not owed",
    "endpoint.paused": "paused an endpoint",
    "endpoint.resumed": "resumed an endpoint",
    "job.stopped": "stopped a job",
    "request.read": "looked at a request with its document",
    "dead.discarded": "discarded a dead letter",
    "document.read": "saved a document of",
    "document.thumbnail": "looked at the first page of",
    "token.created": "created an access token",
    "token.revoked": "revoked an access token",
    "console.logged_in": "logged in",
    "console.refused": "was refused at the log-in",
    "api.refused": "was refused by the API",
}


LABELS: Final[Mapping[str, str]] = {
    "description": "Name", "scope": "Applies to", "direction": "Direction", "number": "Our number", "fax_id": "Fax id",
    "types": "Only these events", "url": "URL", "failover_url": "Failover URL", "format": "Payload format",
    "headers": "Headers", "timeout_seconds": "Timeout", "max_concurrent": "Max. concurrent requests per dispatcher",
    "token": "Token",
}  # fmt: skip
"""The fields of an endpoint's form in its order, as it calls them."""


def ago(at: datetime | None, now: datetime) -> str:
    """Return when *at* is or was, in words."""
    return "at an unknown time" if at is None else moment(at, now)


def number(count: float | None) -> str:
    """Return a count with separators.

    >>> [number(count) for count in (0, 12345, 0.25, 12.0, None)]
    ['0', '12,345', '0.25', '12', '-']
    """
    if count is None:
        return "-"
    if count == int(count):
        return f"{int(count):,}"
    return f"{count:,.2f}" if count < 1 else f"{count:,.1f}"


def iso(at: datetime) -> str:
    """Return *at* for machines."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def tone(name: str) -> str:
    """Return how a state, verdict or event type looks."""
    if name in PHRASES:
        return {"partly": "waiting", "underway": "plain"}.get(PHRASES[name].tone, PHRASES[name].tone)
    return TONES.get(name, "plain")


def account_tone(account: Account) -> str:
    """Return how the verdict on an account looks: bad where a person must look at it."""
    if account.is_wrong:
        return "bad"
    return {"complete": "good", "no_list": "faint"}.get(account.verdict, "plain")


def scope(endpoint: Endpoint) -> str:
    """Return which faxes an endpoint gets the events of."""
    match endpoint.match:
        case str(our_number):
            return f"faxes received at {our_number}"
        case FaxMatch(job_id=str(job_id)):
            return f"the sent fax with job_id {job_id}"
        case FaxMatch(provider=provider, fax_id=fax_id):
            return f"the sent fax {fax_id} of {provider}"
    return "all faxes" if endpoint.direction == "any" else f"{endpoint.direction} faxes"


def sentence(text: str) -> str:
    """Return *text* as a sentence of its own; a name that it begins with stays as it is.

    >>> [sentence(text) for text in ("delivered at attempt 1", "fax.failed, 2 events", "Done.", "")]
    ['Delivered at attempt 1.', 'fax.failed, 2 events.', 'Done.', '']
    """
    if not text:
        return text
    begins_with_name = "." in text.partition(" ")[0].rstrip(".,")
    return f"{text if begins_with_name else title(text)}{'' if text.endswith(('.', '!', '?')) else '.'}"


def title(text: str) -> str:
    """Return *text* with a capital in front.

    >>> title("host not found")
    'Host not found'
    """
    return text[:1].upper() + text[1:]


def with_code(text: str) -> Markup:
    """Return *text* with what stands between backticks as code.

    >>> with_code("see `a<b` there")
    Markup('see <code>a&lt;b</code> there')
    """
    parts = [escape(part) for part in text.split("`")]
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else part for index, part in enumerate(parts)
    )


_BREAKS: Final = re.compile(r"(?<=[/@=])(?=[^/])|(?=[?&])")
FITS_A_PHONE: Final = 28
"""Characters of a heading on a phone's line."""


def breakable(text: str) -> Markup:
    """Return *text*, an address, so that a narrow page breaks it behind a separator rather than in a word.

    >>> breakable("https://shop.example.com/fax?b=<1>")
    Markup('https://<wbr>shop.example.com/<wbr>fax<wbr>?b=<wbr>&lt;1&gt;')
    >>> breakable("shop.example.com/fax")
    Markup('shop.example.com/fax')
    """
    parts = _BREAKS.split(text) if len(text) > FITS_A_PHONE else [text]
    return Markup("<wbr>").join(escape(part) for part in parts)


FILTERS: Final[Mapping[str, Any]] = {
    "duration": lambda seconds: "-" if seconds is None else duration(seconds),
    "number": number,
    "iso": iso,
    "clock": clock,
    "clock_of": lambda text: clock(datetime.fromisoformat(text)),
    "event_type": in_short,
    "state": lambda name: _STATES.get(name, name),
    "tone": tone,
    "plural": counted,
    "audit_details": details_of,
    "audited": lambda what: AUDITED.get(what, what),
    "scope": scope,
    "place": place_of,
    "damage": sentence_of_damage,
    "named": lambda endpoint: name_of(endpoint.url, endpoint.description),
    "title": title,
    "with_code": with_code,
    "label": lambda field: LABELS.get(field, ""),
    "breakable": breakable,
    "end": lambda text: with_code(text if text.endswith((".", "!", "?", ":")) else f"{text}."),
    "sentence": lambda text: with_code(sentence(text)),
    "cause": cause_in_words,
    "percent": percent,
    "rate": rate_in_words,
    "known": lambda count: "?" if count is None else number(count),
    "account_tone": account_tone,
}
"""`ago` needs the time of rendering: `Renderer` adds it."""
