"""What dead letters die of, for people: each cause's code belongs to one group with a title and what to do. Pure.

The codes come from `outcome`, `way_out`, the channels, `settle`, `sweeper`, `consume`, and the ingress's quarantine. A
code that no group knows is in the group `other`, so that none is ever without one.
"""

import re
from typing import Final

import msgspec

from dispatcher.ops.dead.letters import Kind


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Causes that a person treats alike.

    Attributes:
        key: Stable; good as `cause` of a filter.
        codes: A regular expression over whole codes, in the words that Python and PostgreSQL share; no code fits two.
        kinds: What can die of it; a code means other things for other kinds.
    """

    key: str
    codes: str
    title: str
    hint: str
    kinds: tuple[Kind, ...] = ("delivery",)


_ENDPOINT_HINT: Final = "When the application is back, replay."

GROUPS: Final = (
    Group(
        key="host_not_found",
        codes="host_not_found",
        title="host not found",
        hint="The name in the endpoint's URL does not resolve: correct the URL, then replay.",
    ),
    Group(
        key="tls",
        codes="tls",
        title="TLS failed",
        hint="The application's certificate has expired, bears another name, or comes from nobody we trust: have it "
        "renewed, then replay.",
    ),
    Group(
        key="refused",
        codes="refused",
        title="connection refused",
        hint=f"Nothing listens at the endpoint's address. {_ENDPOINT_HINT}",
    ),
    Group(
        key="timeout",
        codes="timeout",
        title="no answer in time",
        hint="The application answered too late, every time. Raise the endpoint's timeout if it is merely slow; when "
        "it is back, replay.",
    ),
    Group(
        key="broken",
        codes="reset|network|bad_answer",
        title="connection broken, or no HTTP",
        hint=f"The connection broke, or what answers speaks no HTTP: is the URL's port right? {_ENDPOINT_HINT}",
    ),
    Group(
        key="http_401",
        codes="http_40[137]",
        title="not authorized (401, 403)",
        hint="The application refuses us: compare the endpoint's token, user and password with its own, then replay.",
    ),
    Group(
        key="http_404",
        codes="http_40[45]",
        title="not found (404)",
        hint="The application has nothing at the URL's path: correct the URL, then replay.",
    ),
    Group(
        key="gone",
        codes="gone|http_410",
        title="gone (410)",
        hint="The application asked to be told no more, so its endpoint was switched off. If that was a mistake, "
        "enable the endpoint, then replay; else discard.",
    ),
    Group(
        key="redirect",
        codes="http_3..",
        title="redirected",
        hint="Redirects are not followed: set the endpoint's URL to where it leads, then replay.",
    ),
    Group(
        key="http_5xx",
        codes="http_5..",
        title="the application failed (5xx)",
        hint=f"The application answered that it failed itself: look at its log. {_ENDPOINT_HINT}",
    ),
    Group(
        key="http_4xx",
        codes="http_4(0[02689]|1[1-9]|[2-9].)",
        title="the application refused the request (4xx)",
        hint="The application did not take the request as it is: is the endpoint's format the one it expects? "
        "Correct that, then replay.",
    ),
    Group(
        key="mail",
        codes="bad_address|smtp_.*",
        title="mail not accepted",
        hint="The mail relay refused the recipient or the mail: correct the address, then replay; or discard.",
    ),
    Group(
        key="egress",
        codes="egress_refused",
        title="address not allowed",
        hint="The URL leads to an address that may not be reached: correct it, or name the network in "
        "`EGRESS_ALLOW_NETWORKS`, then replay.",
    ),
    Group(
        key="proxy",
        codes="proxy_.*",
        title="the egress proxy did not reach it",
        hint="The proxy of `EGRESS_PROXY` could not connect to the application. Look at the proxy's log, then replay.",
    ),
    Group(
        key="endpoint_removed",
        codes="endpoint_removed",
        title="endpoint removed",
        hint="It was still owed when its endpoint was removed. Nobody can be told any more: discard.",
    ),
    Group(
        key="endpoint_disabled",
        codes="endpoint_disabled",
        title="endpoint disabled",
        hint="It fell due while its endpoint was off. Enable the endpoint, then replay; or discard.",
    ),
    Group(
        key="stuck",
        codes="stuck",
        title="stuck",
        hint="It was put back again and again without a single attempt: look for `attempt.crashed` in the log, then "
        "replay with a mended version.",
    ),
    Group(
        key="crashed",
        codes="crashed|attempt_crashed|delivery_limit|rejected",
        title="our own code failed",
        hint="The dispatcher crashed on it, or kept handing it back: look at the log, then replay with a mended "
        "version.",
        kinds=("delivery", "event"),
    ),
    Group(
        key="parser",
        codes="unreadable|parser_crashed",
        title="our parser",
        hint="A genuine callback that our parser did not understand. Replay with a version whose parser is mended.",
        kinds=("callback",),
    ),
    Group(
        key="unreadable",
        codes="unreadable",
        title="unreadable message",
        hint="A message that is none of ours, or of another version: see who publishes there, then replay with the "
        "version that knows it; or discard.",
        kinds=("event", "delivery"),
    ),
    Group(
        key="ledger_refused",
        codes="ledger_refused",
        title="the ledger refused it",
        hint="It holds a value that no column takes: replay with a mended version, or discard.",
        kinds=("event",),
    ),
)

OTHER: Final = Group(
    key="other",
    codes="",
    title="something else",
    hint="Its code says what it was, the service's log has more.",
    kinds=("callback", "event", "delivery"),
)

_COMPILED: Final = tuple((group, re.compile(group.codes)) for group in GROUPS)
_BY_KEY: Final = {group.key: group for group in (*GROUPS, OTHER)}


def group_of(kind: Kind, code: str) -> Group:
    """Return the group of a cause's code.

    >>> group_of("delivery", "http_503").key, group_of("callback", "unreadable").key, group_of("event", "?").key
    ('http_5xx', 'parser', 'other')
    """
    return next((group for group, codes in _COMPILED if kind in group.kinds and codes.fullmatch(code)), OTHER)


def known_group(key: str) -> Group | None:
    """Return the group of this key; None if there is none."""
    return _BY_KEY.get(key)


def matches(wanted: str, kind: Kind, code: str) -> bool:
    """Does a cause's code match what a filter says: the code itself, or its group's key?"""
    return wanted in {code, group_of(kind, code).key}


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
