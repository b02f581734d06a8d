"""An http or https URL as a request needs it: where to connect to, and what to write. Pure.

What is written is the URL byte for byte, so that a receiver that rebuilds it from the request line and `Host` gets what
was signed. Only an empty path becomes a slash, which HTTP requires; such a URL is refused when an endpoint is set.
"""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote

import msgspec

from shared.signatures import basic_header

_AUTHORITY_END: Final = re.compile(r"[/?#]")
_AUTHORITY: Final = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<host>[^:\[\]]*))(?::(?P<port>[0-9]{0,9}))?")
_UNWRITABLE: Final = re.compile(r"[^\x21-\x7e]")
_BLANK: Final = re.compile(r"[\x00-\x20\x7f]")
_PORTS: Final = {"http": 80, "https": 443}
_HIGHEST_PORT: Final = 65_535

URLS_REMEMBERED: Final = 10_000
"""Of which `posted_url` and `basic_of` remember the answers: each attempt asks for both."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request goes.

    Attributes:
        url: As it is written: without user, password and fragment.
        is_secure: Over TLS.
        host: A name, or an address without brackets, as written.
        port: 1 to 65535.
        authority: Host and port as written: the `Host` header.
        path: Path and query; begins with a slash.
    """

    url: str
    is_secure: bool
    host: str
    port: int
    authority: str
    path: str


def parse_target(url: str) -> Target:
    """Return where a request to *url* goes.

    Raises:
        ValueError: It is not an http or https URL with a host and a possible port, or not printable. The sentence does
            not quote it.

    >>> target = parse_target("http://Example.com:08080?a")
    >>> target.url, target.host, target.port, target.path
    ('http://Example.com:08080/?a', 'Example.com', 8080, '/?a')
    """
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in _PORTS:
        raise ValueError("the URL is not one of http or https")
    end = _AUTHORITY_END.search(rest)
    authority, path = (rest, "") if end is None else (rest[: end.start()], rest[end.start() :].partition("#")[0])
    authority = authority.rpartition("@")[2]
    if not path.startswith("/"):
        path = f"/{path}"
    if _BLANK.search(authority) or _UNWRITABLE.search(path):
        raise ValueError("the URL has a blank, a control character, or one beyond ASCII")
    found = _AUTHORITY.fullmatch(authority)
    host = (found["v6"] or found["host"] or "") if found else ""
    if found is None or not host:
        raise ValueError("the URL names no host")
    port = int(found["port"]) if found["port"] else _PORTS[scheme]
    if not 0 < port <= _HIGHEST_PORT:
        raise ValueError("the URL's port is not one of 1 to 65535")
    return Target(
        url=f"{scheme}://{authority}{path}",
        is_secure=scheme == "https",
        host=host,
        port=port,
        authority=authority,
        path=path,
    )


def public_url(url: str) -> str:
    """Return *url* without user and password, otherwise byte for byte.

    >>> public_url("https://user:pass@example.com/hook?x=a%2Bb")
    'https://example.com/hook?x=a%2Bb'
    """
    scheme, separator, rest = url.partition("://")
    end = min((position for mark in "/?#" if (position := rest.find(mark)) >= 0), default=len(rest))
    authority, tail = rest[:end], rest[end:]
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{tail}"


def fetched_url(url: str) -> str:
    """Return the *url* of a document as it is asked for: without user and password, what HTTP cannot carry encoded.

    Endpoints' URLs are refused for the same when they are set; what a provider names must be taken as it is.

    >>> fetched_url(" https://user:pass@bücher.example/fax +1 ü.pdf?x=a%2Bb ")
    'https://xn--bcher-kva.example/fax%20+1%20%C3%BC.pdf?x=a%2Bb'
    """
    url = public_url(url.strip())
    if not _UNWRITABLE.search(url):
        return url
    scheme, separator, rest = url.partition("://")
    end = found.start() if (found := _AUTHORITY_END.search(rest)) else len(rest)
    try:
        authority = rest[:end].encode("idna").decode("ascii")
    except UnicodeError:
        authority = rest[:end]  # no name: it is refused
    return scheme + separator + authority + _UNWRITABLE.sub(lambda one: quote(one[0]), rest[end:])


@lru_cache(URLS_REMEMBERED)
def posted_url(url: str) -> str:
    """Return *url* as it is posted to, and therefore signed: without user and password, with at least a slash as path.

    >>> posted_url("https://user:pass@example.com?a"), posted_url("https://example.com/hook?")
    ('https://example.com/?a', 'https://example.com/hook?')
    """
    try:
        return parse_target(url).url
    except ValueError:  # nothing will be posted
        return public_url(url)


@lru_cache(URLS_REMEMBERED)
def basic_of(url: str) -> str | None:
    """Return the `Authorization` that user and password of *url* make; None without them."""
    authority = _AUTHORITY_END.split(url.partition("://")[2], maxsplit=1)[0]
    user_info, at, _ = authority.rpartition("@")
    if not at or not user_info:
        return None
    user, _, password = user_info.partition(":")
    return basic_header(unquote(user), unquote(password))
