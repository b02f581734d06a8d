"""Checks of what people give as an endpoint. Pure; every refusal names the field and says what would be right."""

from typing import Final
from urllib.parse import urlsplit

from shared.errors import FaxhookError

MOST_URL_CHARACTERS: Final = 2_048


class BadEndpoint(FaxhookError):
    """A field of an endpoint is wrong; nothing was written."""

    code = "bad_endpoint"

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(f"{field}: {sentence}")
        self.field = field


def checked_url(field: str, url: str) -> str:
    """Return *url* as it was given: what is signed must be what is posted to, byte for byte.

    Raises:
        BadEndpoint: Another scheme than http or https, no host, a fragment, a control character, a blank, or text
            beyond ASCII.
    """
    if len(url) > MOST_URL_CHARACTERS:
        raise BadEndpoint(field, f"longer than {MOST_URL_CHARACTERS} characters")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise BadEndpoint(field, "a URL holds printable ASCII only; percent-encode the rest")
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise BadEndpoint(field, f"is no URL: {error}") from None
    if parts.scheme not in {"http", "https"}:
        raise BadEndpoint(field, "must begin with http:// or https://")
    if not host:
        raise BadEndpoint(field, "names no host")
    if "#" in url:
        raise BadEndpoint(field, "must not have a fragment (`#…`): it is never sent, and receivers cannot verify it")
    return url
