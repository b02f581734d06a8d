"""Headers that an endpoint's webhooks bear beside ours: which names may be set, and how they join ours. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

Headers = tuple[tuple[str, str], ...]
"""Name and value, in the order in which they were given."""

MOST_HEADERS: Final = 20
MOST_NAME_CHARACTERS: Final = 100
MOST_VALUE_CHARACTERS: Final = 2_000

_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""A token of RFC 9110."""

_VALUE: Final = re.compile(r"[!-~]([ -~]*[!-~])?")
"""Printable ASCII, no blank at either end: no line break, and nothing that a proxy would change."""

_OF_THE_CONNECTION: Final = frozenset(
    (
        *("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "host"),
        *("http2-settings", "content-length"),
    )
)
_OURS: Final = frozenset(
    (
        *("content-type", "content-encoding", "content-md5", "digest", "content-digest", "user-agent"),
        *("accept", "accept-encoding", "idempotency-key", "traceparent", "tracestate", "baggage"),
    )
)
_OUR_BEGINNINGS: Final = ("x-faxhook-", "x-phaxio-", "x-sinch-", "telnyx-", "webhook-")
_PROXY_BEGINNING: Final = "proxy-"


def why_refused(name: str) -> str | None:
    """Return why a header of this name cannot be set; None if it can.

    >>> [why_refused(name) for name in ("X-Api-Key", "Authorization", "Cookie")]
    [None, None, None]
    >>> why_refused("connection"), why_refused("Webhook-Signature")
    ('belongs to the connection', 'is set by faxhook')
    """
    lower = name.lower()
    if not _NAME.fullmatch(name) or len(name) > MOST_NAME_CHARACTERS:
        return f"is no name of a header: letters, digits and hyphens, at most {MOST_NAME_CHARACTERS}"
    if lower in _OF_THE_CONNECTION or lower.startswith(_PROXY_BEGINNING):
        return "belongs to the connection"
    if lower in _OURS or lower.startswith(_OUR_BEGINNINGS):
        return "is set by faxhook"
    return None


def wrong_headers(headers: Sequence[tuple[str, str]], *, has_login: bool) -> Iterator[str]:
    """Yield what is wrong with static headers, naming headers and no value.

    *has_login*: a URL of the endpoint has a user, which is sent as `Authorization`.
    """
    if len(headers) > MOST_HEADERS:
        yield f"more than {MOST_HEADERS}"
    seen: set[str] = set()
    for name, value in headers:
        shown = name[:40].encode("unicode_escape").decode()
        if (why := why_refused(name)) is not None:
            yield f"`{shown}` {why}"
        elif name.lower() in seen:
            yield f"`{shown}` is given twice"
        elif name.lower() == "authorization" and has_login:
            yield "`Authorization` and the user in the URL contradict each other: give one of them"
        elif len(value) > MOST_VALUE_CHARACTERS:
            yield f"the value of `{shown}` is longer than {MOST_VALUE_CHARACTERS} characters"
        elif _VALUE.fullmatch(value) is None:
            yield (
                f"the value of `{shown}` must be printable ASCII in one line, neither empty nor with a blank at an end"
            )
        seen.add(name.lower())


def own_headers(static: Headers, ours: Mapping[str, str], *, has_login: bool = False) -> dict[str, str]:
    """Return the static headers that are sent beside *ours*: none that is one of ours, or may not be set at all.

    Checked again here: what was set by another version, or by hand, must not break a request or forge a signature.
    """
    our_names = {name.lower() for name in ours} | ({"authorization"} if has_login else set())
    return {
        name: value
        for name, value in static
        if why_refused(name) is None and _VALUE.fullmatch(value) and name.lower() not in our_names
    }
