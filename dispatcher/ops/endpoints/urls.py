"""URLs of endpoints: checked as they are given, and masked as they are shown. Pure."""

import re
from collections.abc import Mapping
from typing import Final, Self

from yarl import URL

from dispatcher.channels.mail.address import address_of
from shared.errors import FaxhookError
from shared.urls import parse_url

MOST_URL_CHARACTERS: Final = 2_048

_HOST: Final = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]*:[0-9a-f:.]*")
"""A name or an address; an international name is written as `xn--…`, and a zone (`%eth0`) means something here only."""


class BadEndpoint(FaxhookError):
    """Fields of an endpoint are wrong; nothing was written. `field` is the first of them."""

    code = "bad_endpoint"
    status = 422
    field: str

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(f"{field}: {sentence}")
        self.field = field
        self.wrong = {field: sentence}

    @classmethod
    def of(cls, wrong: Mapping[str, str]) -> Self:
        """Return the error that names all fields of *wrong*, which holds at least one."""
        error = cls(*next(iter(wrong.items())))
        error.args = ("; ".join(f"{field}: {sentence}" for field, sentence in wrong.items()),)
        error.wrong = dict(wrong)
        return error


def is_mail(url: str) -> bool:
    """Is what is owed to this URL sent as mail?"""
    return url.startswith("mailto:")


def checked_url(field: str, url: str) -> str:
    """Return an endpoint's *url* as it was given: what is signed must be what is posted to, byte for byte.

    Raises:
        BadEndpoint: Another scheme than http, https or mailto (lower case), no host or one that cannot be, user and
            password that Basic cannot carry, a fragment, a control character, a space, or text beyond ASCII; no path;
            a port that is 0, empty or begins with 0; of mailto, anything but one plain address.
    """
    if not is_mail(url):
        checked_web_url(field, url, "http://, https:// or mailto:")
        _check_written(field, url)
        return url
    _check_characters(field, url)
    try:
        address_of(url)
    except ValueError as error:
        raise BadEndpoint(field, str(error)) from None
    return url


def checked_web_url(field: str, url: str, schemes: str = "http:// or https://") -> str:
    """Return the http or https *url* as it was given.

    Raises:
        BadEndpoint: As for `checked_url`; its sentence names *schemes*.
    """
    _check_characters(field, url)
    if not url.startswith(("http://", "https://")):
        raise BadEndpoint(field, f"must begin with {schemes}")
    try:
        host = parse_url(url).host
        target = URL(url, encoded=True)  # as the webhook channel reads it
        _name = target.host  # decodes `xn--…`
    except ValueError:
        # Neither reader's own words, which may quote the password.
        raise BadEndpoint(
            field, "is not a URL; a port is 1 to 65535, special characters of user and password are percent-encoded"
        ) from None
    if not host:
        raise BadEndpoint(field, "names no host")
    if (target.raw_host or "").lower() != host:
        raise BadEndpoint(field, "names an ambiguous host; write it plainly")
    if not _HOST.fullmatch(host):
        raise BadEndpoint(field, "names a host with other characters than letters, digits, dots, hyphens, underscores")
    _check_user(field, target)
    if "#" in url:
        raise BadEndpoint(field, "must not have a fragment (`#…`): it is never sent, and receivers cannot verify it")
    return url


def authority_end(url: str, start: int = 0) -> int:
    """Return the index in *url* behind the authority (user, password, host, port) that begins at *start*."""
    return min((position for mark in "/?#" if (position := url.find(mark, start)) >= 0), default=len(url))


def masked_url(url: str) -> str:
    """Return *url* with its password as asterisks.

    >>> masked_url("https://user:pass@example.com/hook?a=@")
    'https://user:***@example.com/hook?a=@'
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    end = authority_end(rest)
    user_info, at, host = rest[:end].rpartition("@")
    user = f"{user_info.partition(':')[0]}:***@" if at else ""
    return f"{scheme}{separator}{user}{host}{rest[end:]}"


def place_of(url: str) -> str:
    """Return host and path of *url*, or the address of a mail: what tells endpoints apart, and holds no secret.

    >>> [place_of(url) for url in ("https://u:p@example.com:8443/hook?x=1", "mailto:fax@example.com", "http://a/")]
    ['example.com:8443/hook', 'fax@example.com', 'a']
    """
    if is_mail(url):
        return url.removeprefix("mailto:")
    rest = url.partition("://")[2]
    end = authority_end(rest)
    path = rest[end:].partition("?")[0].partition("#")[0]
    return rest[:end].rpartition("@")[2] + ("" if path == "/" else path)


def has_user(url: str) -> bool:
    """Has *url* a user, or a password, which are sent as Basic authentication?"""
    rest = url.partition("://")[2]
    return "@" in rest[: authority_end(rest)]


def name_of(url: str, description: str) -> str:
    """Return an endpoint's name: its description, else where it is."""
    return description or place_of(url)


def _check_written(field: str, url: str) -> None:
    """Refuse what no receiver can rebuild from a request: what is signed is the URL as it was given."""
    start = url.index("://") + 3
    end = authority_end(url, start)
    host, colon, port = url[start:end].rpartition("@")[2].rpartition(":")
    if colon and not host.endswith(":") and "]" not in port:
        if not port:
            raise BadEndpoint(field, "has a colon without a port; leave the colon out")
        if port.startswith("0"):
            raise BadEndpoint(field, "has a port that is 0 or begins with 0; write the port plainly, such as 8080")
    if url[end : end + 1] != "/":
        raise BadEndpoint(
            field,
            "has no path: HTTP posts to `/` then, and the signature would cover another URL; "
            f"write a slash behind the host, as in {masked_url(url[:end])}/{url[end:]}",
        )


def _check_user(field: str, target: URL) -> None:
    """Refuse what Basic cannot carry: it would fail, or be dropped, at every attempt."""
    if target.raw_password and not target.raw_user:
        raise BadEndpoint(field, "has a password without a user")
    if ":" in (target.user or ""):
        raise BadEndpoint(field, "has a user with a colon, which Basic authentication cannot carry")


def _check_characters(field: str, url: str) -> None:
    if len(url) > MOST_URL_CHARACTERS:
        raise BadEndpoint(field, f"longer than {MOST_URL_CHARACTERS} characters")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise BadEndpoint(field, "a URL holds printable ASCII only; percent-encode the rest")
