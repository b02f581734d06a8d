"""Why deliveries fail and dead letters died: for each cause's code a sentence, its group, and what to do. Pure.

The codes come from the outcome of an attempt, the channels, the settler, the sweeper, the consumers, and the ingress's
quarantine. A code that no group lists is in the group `other`.
"""

import re
from functools import cached_property
from typing import Final

import msgspec

from dispatcher.ops.dead.letters import Kind


class Group(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Causes that need the same action.

    Attributes:
        key: Stable; valid as `cause` of a filter.
        sentences: What happened, for each code that is not said by its number.
        pattern: Further codes, as a regular expression that Python and PostgreSQL read alike; no code fits two groups.
        kinds: What can die of it; the same code may mean something else for another kind.
    """

    key: str
    title: str
    hint: str
    sentences: dict[str, str] = {}
    pattern: str = ""
    kinds: tuple[Kind, ...] = ("delivery",)

    @cached_property
    def codes(self) -> str:
        """A regular expression over whole codes."""
        return "|".join((*self.sentences, *filter(None, [self.pattern])))


UNANSWERED: Final = (
    "its endpoint had not answered for as long as all waits of BACKOFF take together, so this was never tried again"
)
"""Of what died while its endpoint's circuit was open: promise 6."""

_ENDPOINT_HINT: Final = "When the application is back, replay."

GROUPS: Final = (
    Group(
        key="host_not_found",
        title="host not found",
        hint="The name in the endpoint's URL does not resolve: correct the URL, then replay.",
        sentences={"host_not_found": "its host's name does not resolve"},
    ),
    Group(
        key="tls",
        title="TLS failed",
        hint="The application's certificate has expired, is for another name, or is signed by an authority that we do "
        "not trust: have it renewed, then replay.",
        sentences={"tls": "its TLS certificate or handshake failed"},
    ),
    Group(
        key="refused",
        title="connection refused",
        hint=f"Nothing listens at the endpoint's address. {_ENDPOINT_HINT}",
        sentences={"refused": "it refused the connection"},
    ),
    Group(
        key="timeout",
        title="no answer in time",
        hint="The application answered too late, every time. Raise the endpoint's timeout if it is merely slow; when "
        "it is back, replay.",
        sentences={"timeout": "it did not answer in time"},
    ),
    Group(
        key="broken",
        title="connection broken, or not HTTP",
        hint=f"The connection broke, or the answer is not HTTP: is the URL's port right? {_ENDPOINT_HINT}",
        sentences={
            "reset": "it closed the connection before it had answered",
            "network": "the connection broke",
            "bad_answer": "its answer is not HTTP",
        },
    ),
    Group(
        key="http_401",
        title="not authorized (401, 403)",
        hint="The application refuses us: compare the endpoint's token, user and password with its own, then replay.",
        pattern="http_40[137]",
    ),
    Group(
        key="http_404",
        title="not found (404)",
        hint="The application has nothing at the URL's path: correct the URL, then replay.",
        pattern="http_40[45]",
    ),
    Group(
        key="gone",
        title="gone (410)",
        hint="The application asked for no more deliveries, so its endpoint was disabled. If that was a mistake, "
        "enable the endpoint, then replay; else discard.",
        sentences={"gone": "it answered 410: it wants no more deliveries, and is disabled"},
        pattern="http_410",
    ),
    Group(
        key="redirect",
        title="redirected",
        hint="Redirects are not followed: set the endpoint's URL to where it leads, then replay.",
        pattern="http_3..",
    ),
    Group(
        key="http_5xx",
        title="the application failed (5xx)",
        hint=f"The application answered that it failed itself: look at its log. {_ENDPOINT_HINT}",
        pattern="http_5..",
    ),
    Group(
        key="http_4xx",
        title="the application refused the request (4xx)",
        hint="The application did not take the request as it is: is the endpoint's format the one it expects? "
        "Correct that, then replay.",
        pattern="http_4(0[02689]|1[1-9]|[2-9].)",
    ),
    Group(
        key="mail",
        title="mail not accepted",
        hint="The mail relay refused the recipient or the mail: correct the address, then replay; or discard.",
        sentences={
            "bad_address": "it is not a mail address that a relay would take",
            "smtp_not_configured": "SMTP_URL is not set, so no mail can be sent",
            "smtp_disconnected": "the mail relay is away",
            "smtp_timeout": "the mail relay did not answer in time",
        },
        pattern="smtp_.*",
    ),
    Group(
        key="egress",
        title="address not allowed",
        hint="The URL leads to an address that may not be reached: correct it, or name the network in "
        "`EGRESS_ALLOW_NETWORKS`, then replay.",
        sentences={
            "egress_refused": "its host leads to an address that is not public; EGRESS_ALLOW_NETWORKS can allow it"
        },
    ),
    Group(
        key="proxy",
        title="the egress proxy did not reach it",
        hint="The proxy of `EGRESS_PROXY` could not connect to the application. Look at the proxy's log, then replay.",
        sentences={"proxy_away": "the proxy of EGRESS_PROXY is away"},
        pattern="proxy_.*",
    ),
    Group(
        key="endpoint_removed",
        title="endpoint removed",
        hint="It was still owed when its endpoint was removed. Replay it to the endpoint that took its place, or "
        "discard.",
        sentences={"endpoint_removed": "the endpoint was removed"},
    ),
    Group(
        key="endpoint_disabled",
        title="endpoint disabled",
        hint="It fell due while its endpoint was disabled. Enable the endpoint, then replay; or discard.",
        sentences={"endpoint_disabled": "the endpoint is disabled"},
    ),
    Group(
        key="stuck",
        title="stuck",
        hint="It was put back again and again without a single attempt: look for `attempt.crashed` in the log, then "
        "replay with a fixed version.",
        sentences={"stuck": "it was put back again and again without any progress"},
    ),
    Group(
        key="crashed",
        title="our own code failed",
        hint="The dispatcher crashed on it, or kept handing it back: look at the log, then replay with a fixed "
        "version.",
        sentences={"crashed": "our own code failed; the log says where"},
        pattern="attempt_crashed|delivery_limit|rejected",
        kinds=("delivery", "event"),
    ),
    Group(
        key="parser",
        title="callback could not be parsed",
        hint="A genuine callback that our parser does not understand. Replay it with a version whose parser is fixed.",
        pattern="unreadable|parser_crashed",
        kinds=("callback",),
    ),
    Group(
        key="unreadable",
        title="unreadable message",
        hint="A message that is not ours, or of another version: see what publishes there, then replay with the "
        "version that knows it; or discard.",
        pattern="unreadable",
        kinds=("event", "delivery"),
    ),
    Group(
        key="ledger_refused",
        title="the ledger refused it",
        hint="It holds a value that no column takes: replay with a fixed version, or discard.",
        pattern="ledger_refused",
        kinds=("event",),
    ),
)

OTHER: Final = Group(
    key="other",
    title="something else",
    hint="Its code says what it was, the service's log has more.",
    sentences={"unknown_format": "this version does not know the endpoint's format"},
    kinds=("callback", "event", "delivery"),
)
"""Whatever no group lists; its `codes` are not all of them."""

_COMPILED: Final = tuple((group, re.compile(group.codes)) for group in GROUPS)
_SENTENCES: Final = {code: sentence for group in (*GROUPS, OTHER) for code, sentence in group.sentences.items()}


def group_of(kind: Kind, code: str) -> Group:
    """Return the group of a cause's code.

    >>> group_of("delivery", "http_503").key, group_of("callback", "unreadable").key, group_of("event", "?").key
    ('http_5xx', 'parser', 'other')
    """
    return next((group for group, codes in _COMPILED if kind in group.kinds and codes.fullmatch(code)), OTHER)


def delivery_codes(wanted: str) -> tuple[str, bool]:
    """Return a regular expression over whole codes of deliveries, and whether to take what does *not* fit it.

    >>> delivery_codes("http_5xx")
    ('^(http_5xx|http_5..)$', False)
    """
    of_deliveries = [group for group in GROUPS if "delivery" in group.kinds]
    if wanted == OTHER.key:
        return f"^({'|'.join(group.codes for group in of_deliveries)})$", True
    codes = next((f"|{group.codes}" for group in of_deliveries if group.key == wanted), "")
    return f"^({re.escape(wanted)}{codes})$", False


def cause_in_words(code: str | None) -> str:
    """Return why an attempt failed, or why a delivery was given up.

    >>> cause_in_words("http_503")
    'it answered 503'
    """
    if code is None:
        return "no reason was recorded"
    protocol, _, number = code.partition("_")
    if protocol in {"http", "smtp"} and number.isdigit():
        return f"it answered {number}"
    return _SENTENCES.get(code, code)
