"""The parts of a URL that a setting or a client gives: scheme, host, port, user, password. Pure."""

from urllib.parse import unquote, urlsplit

import msgspec


class Url(msgspec.Struct, frozen=True, kw_only=True):
    """A URL's parts.

    Attributes:
        host: Lower case, an IPv6 address without its brackets; or empty.
        user: Percent-decoded, or None; so is `password`.
        path: As it stands.
        has_more: A query or a fragment follows the path.
    """

    scheme: str
    host: str
    port: int | None
    user: str | None
    password: str | None
    path: str
    has_more: bool

    @property
    def is_bare(self) -> bool:
        """True if nothing but a slash follows host and port."""
        return self.path in {"", "/"} and not self.has_more

    # A frozen struct prints its fields, and it may end up in a traceback.
    def __repr__(self) -> str:
        return f"Url(scheme={self.scheme!r}, ***)"


def parse_url(url: str) -> Url:
    """Return the parts of *url*.

    Raises:
        ValueError: It is not a URL: a port that is not one, a bracket left open. The sentence does not quote it.

    >>> url = parse_url("smtps://me%40example.com:s%3Acret@Mail.example.com:465/")
    >>> url.user, url.password, url.host, url.port, url.is_bare
    ('me@example.com', 's:cret', 'mail.example.com', 465, True)
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("it is no URL; special characters of user and password are percent-encoded") from None
    return Url(
        scheme=parts.scheme,
        host=parts.hostname or "",
        port=port,
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
        path=parts.path,
        has_more=bool(parts.query or parts.fragment),
    )
