"""Times, numbers and codes as people read them. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from markupsafe import Markup, escape

from dispatcher.ops.dead.causes import cause_in_words
from dispatcher.ops.words import counted, duration
from dispatcher.policy.endpoint import Endpoint, FaxMatch

_UNITS: Final = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))

EVENT_TYPES: Final[Mapping[str, str]] = {
    "fax.unknown": "unknown event",
    "fax.queued": "queued",
    "fax.receiving": "being received",
    "fax.media_processed": "document prepared",
    "fax.sending": "being sent",
    "fax.page_sent": "page sent",
    "fax.retry_scheduled": "will be dialled again",
    "fax.failed": "failed",
    "fax.receive_failed": "reception failed",
    "fax.partially_delivered": "partly delivered",
    "fax.delivered": "delivered",
    "fax.received": "received",
}

TONES: Final[Mapping[str, str]] = {
    "told": "good", "healthy": "good", "fax.delivered": "good", "fax.received": "good", "done": "good",
    "dead": "bad", "failing": "bad", "gone": "bad", "fax.failed": "bad", "fax.receive_failed": "bad",
    "pending": "waiting", "retrying": "waiting", "running": "waiting", "waiting": "waiting",
    "fax.partially_delivered": "waiting",
    "skipped": "faint", "disabled": "faint", "idle": "faint",
}  # fmt: skip
"""How a state, verdict or type looks; what is absent looks plain."""

KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "delivery": ("delivery", "deliveries"),
    "callback": ("callback", "callbacks"),
    "event": ("event", "events"),
}

QUEUES: Final[Mapping[str, str]] = {
    "work.events": "Events to take in",
    "work.deliveries": "Deliveries to attempt",
    "retry": "Waiting to retry",
    "defer": "Held back for a moment",
    "dead": "Dead letters",
}

AUDITED: Final[Mapping[str, str]] = {
    "endpoint.added": "added an endpoint",
    "endpoint.changed": "changed an endpoint",
    "endpoint.removed": "removed an endpoint",
    "endpoint.tested": "sent a test to an endpoint",
    "endpoint.token_add": "added a token to an endpoint",
    "endpoint.token_promote": "made the newest token sign first",
    "endpoint.token_drop": "dropped the older tokens",
    "dead.replay": "replayed dead letters",
    "dead.discard": "discarded dead letters",
    "console.logged_in": "logged in",
}

STATES: Final[Mapping[str, str]] = {
    "pending": "under way", "retrying": "waits to retry", "told": "told", "dead": "given up",
    "skipped": "skipped", "healthy": "healthy", "failing": "failing", "gone": "gone (410)", "disabled": "switched off",
    "idle": "nothing tried lately", "running": "under way", "waiting": "waiting", "done": "done",
}  # fmt: skip


def coarse(seconds: float) -> str:
    """Return a span of time in its largest unit alone, rounded down.

    >>> [coarse(seconds) for seconds in (5, 61, 7300, 90000)]
    ['5 s', '1 min', '2 h', '1 d']
    """
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def ago(at: datetime | None, now: datetime) -> str:
    """Return how long ago *at* was."""
    if at is None:
        return "at an unknown time"
    seconds = (now - at).total_seconds()
    return "just now" if seconds < 5 else f"{coarse(seconds)} ago"  # noqa: PLR2004 - clocks differ by as much


def until(at: datetime | None, now: datetime) -> str:
    """Return in how much time *at* is."""
    if at is None:
        return "at an unknown time"
    seconds = (at - now).total_seconds()
    if seconds <= 0:
        return "now"
    return f"in {coarse(seconds)}"


def number(count: float | None) -> str:
    """Return a count with separators.

    >>> [number(count) for count in (0, 12345, 0.25, 12.0, None)]
    ['0', '12,345', '0.25', '12', '-']
    """
    if count is None:
        return "-"
    if isinstance(count, int) or count == int(count):
        return f"{int(count):,}"
    return f"{count:,.2f}" if count < 1 else f"{count:,.1f}"


def kinds(kind: str, count: int) -> str:
    """Return so many dead letters of a kind."""
    one, several = KINDS.get(kind, (kind, f"{kind}s"))
    return counted(count, one, several)


def iso(at: datetime) -> str:
    """Return *at* for machines."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(at: datetime) -> str:
    """Return *at* for people, in UTC; the script shows it in their own time."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def event_type(name: str) -> str:
    """Return what an event's type says of the fax."""
    return EVENT_TYPES.get(name, name)


def state(name: str) -> str:
    """Return a state or verdict in words."""
    return STATES.get(name, name)


def tone(name: str) -> str:
    """Return how a state, verdict or type looks."""
    return TONES.get(name, "plain")


def audited(what: str) -> str:
    """Return what somebody did."""
    return AUDITED.get(what, what)


def scope(endpoint: Endpoint) -> str:
    """Return which faxes an endpoint is told of."""
    whose = {"sent": "sent faxes", "received": "received faxes", "any": "all faxes"}[endpoint.direction]
    match endpoint.match:
        case str(our_number):
            return f"faxes received at {our_number}"
        case FaxMatch(job_id=str(job_id)):
            return f"the sent fax with job_id {job_id}"
        case FaxMatch(provider=provider, fax_id=fax_id):
            return f"the sent fax {fax_id} of {provider}"
    return whose


def host(url: str) -> str:
    """Return what people call an endpoint: its host, or the address of a mail.

    >>> [host(url) for url in ("https://u:***@example.com:8443/hook?x=1", "mailto:fax@example.com")]
    ['example.com:8443', 'fax@example.com']
    """
    if url.startswith("mailto:"):
        return url.removeprefix("mailto:")
    rest = url.partition("://")[2]
    end = min((position for mark in "/?#" if (position := rest.find(mark)) >= 0), default=len(rest))
    return rest[:end].rpartition("@")[2]


def sentence(text: str) -> str:
    """Return what a service says as a sentence of its own; a name that it begins with stays as it is.

    >>> [sentence(text) for text in ("told at attempt 1", "fax.failed, 2 events", "Done.", "")]
    ['Told at attempt 1.', 'fax.failed, 2 events.', 'Done.', '']
    """
    if not text:
        return text
    begins_with_name = "." in text.partition(" ")[0].rstrip(".,")
    return f"{text if begins_with_name else text[:1].upper() + text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"


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


FILTERS: Final[Mapping[str, Any]] = {
    "duration": lambda seconds: "-" if seconds is None else duration(seconds),
    "number": number,
    "iso": iso,
    "clock": clock,
    "kinds": lambda count, kind: kinds(kind, count),
    "event_type": event_type,
    "state": state,
    "tone": tone,
    "plural": counted,
    "audited": audited,
    "scope": scope,
    "host": host,
    "title": title,
    "sentence": lambda text: with_code(sentence(text)),
    "cause": cause_in_words,
}
"""For the templates; those of the time now come beside them."""
