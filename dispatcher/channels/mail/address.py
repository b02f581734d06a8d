"""Parses what is configured for mail: addresses, `mailto:` URLs, the relay's URL. Pure.

Addresses are the plain kind that every relay takes: ASCII, no quoted local part, no address literal. What is refused
here cannot become a second recipient or a header anywhere else.
"""

import re
from typing import Final
from unicodedata import category
from urllib.parse import unquote

import msgspec

from shared.urls import parse_url

_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_LOCAL: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_DOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_BROKEN_ESCAPE: Final = re.compile("%(?![0-9A-Fa-f]{2})")
_BLANK: Final = "Zs"
"""Blanks of any script; `isprintable` knows the ASCII one only."""

_JOINERS: Final = "\u200c\u200d"
"""Parts of the writing of emoji and of some scripts."""

MOST_LOCAL_CHARACTERS: Final = 64
MOST_ADDRESS_CHARACTERS: Final = 254
"""RFC 5321: a path is 256 characters with its angle brackets, a local part 64."""

DEFAULT_PORTS: Final = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


class Relay(msgspec.Struct, frozen=True, kw_only=True):
    """The mail server that takes our mail.

    Attributes:
        starttls: True: required; None: if it is offered; False: never, since `use_tls` encrypts the whole connection.
    """

    host: str
    port: int
    user: str | None
    password: str | None
    use_tls: bool
    starttls: bool | None


class Mailbox(msgspec.Struct, frozen=True):
    """Sender of a mail: an address, and a name for people."""

    address: str
    name: str = ""

    @property
    def domain(self) -> str:
        """The part right of the @."""
        return self.address.rpartition("@")[2]


def check_address(text: str) -> str:
    """Return *text*, which is one address.

    Raises:
        ValueError: A sentence that says what is wrong with it; it does not quote it.
    """
    local, at, domain = text.rpartition("@")
    if not at:
        raise ValueError("holds no address: there is no @")
    if len(text) > MOST_ADDRESS_CHARACTERS or len(local) > MOST_LOCAL_CHARACTERS:
        raise ValueError(
            f"the address is longer than {MOST_ADDRESS_CHARACTERS} characters, "
            f"or than {MOST_LOCAL_CHARACTERS} left of the @"
        )
    if "," in text or ";" in text:
        raise ValueError("one address only; add an endpoint for each")
    if not _LOCAL.fullmatch(local):
        raise ValueError("what stands left of the @ is no plain ASCII name")
    if not _DOMAIN.fullmatch(domain):
        raise ValueError("what stands right of the @ is no domain (an international one is written as xn--…)")
    return text


def address_of(url: str) -> str:
    """Return the one address of a `mailto:` URL.

    Raises:
        ValueError: It has none, several, or header fields; a sentence says which.

    >>> address_of("mailto:faxes%2Bin@example.com")
    'faxes+in@example.com'
    """
    scheme, _, rest = url.partition(":")
    if scheme != "mailto":
        raise ValueError("must begin with mailto:")
    if "?" in rest:
        raise ValueError("must not have header fields (`?subject=…`): the mail is ours to write")
    if "#" in rest:
        raise ValueError("must not have a fragment (`#…`)")
    if rest.startswith("//"):
        raise ValueError("an address follows mailto: without slashes")
    if _BROKEN_ESCAPE.search(rest):
        raise ValueError("a percent sign is followed by two hex digits (itself it is %25)")
    return check_address(unquote(rest, errors="replace"))


def parse_mailbox(text: str) -> Mailbox:
    """Parse `fax@example.com` or `Faxes <fax@example.com>`.

    Raises:
        ValueError: A sentence that says what is wrong with it.
    """
    if not text.endswith(">"):
        return Mailbox(check_address(text))
    name, _, address = text[:-1].rpartition("<")
    name = name.strip().removeprefix('"').removesuffix('"')
    if any(
        letter in '<>"\\' or not (letter.isprintable() or letter in _JOINERS or category(letter) == _BLANK)
        for letter in name
    ):
        raise ValueError("the name before the address holds quotes, angle brackets or control characters")
    return Mailbox(check_address(address), name)


def parse_relay(url: str) -> Relay:
    """Return the relay that an `SMTP_URL` names.

    Raises:
        ValueError: A sentence that does not quote it: it may hold a password.

    >>> relay = parse_relay("smtps://me%40example.com:s%3Acret@mail.example.com")
    >>> relay.host, relay.port, relay.user, relay.password
    ('mail.example.com', 465, 'me@example.com', 's:cret')
    """
    if not url.isprintable() or " " in url:
        raise ValueError("a URL holds no blanks and no control characters; percent-encode them")
    parts = parse_url(url)
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError(f"it must begin with {' or '.join(f'{scheme}://' for scheme in DEFAULT_PORTS)}")
    if not parts.host:
        raise ValueError("it names no host")
    if not parts.is_bare:
        raise ValueError("nothing may follow host and port; special characters of the password are percent-encoded")
    if bool(parts.user) != bool(parts.password):
        raise ValueError("a user needs a password, and a password a user")
    return Relay(
        host=parts.host,
        port=parts.port or DEFAULT_PORTS[parts.scheme],
        user=parts.user or None,
        password=parts.password or None,
        use_tls=parts.scheme == "smtps",
        starttls={"smtp": None, "smtp+starttls": True, "smtps": False}[parts.scheme],
    )
