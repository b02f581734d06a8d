"""Forms and cookies of the console: a form must come from one of its own pages, a cookie stays on this site."""

from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from dispatcher.ops.console.errors import UNCHANGED, PageError
from shared.sentences.bad_values import shown


def check_origin(request: web.Request) -> None:
    """Refuse a form that another site sent.

    Browsers say it in `Sec-Fetch-Site` (over https and on localhost), all of them in `Origin`.

    Raises:
        PageError: It came from another site, or there is neither header.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    is_ours = site == "same-origin" if site else origin is not None and urlsplit(origin).netloc == request.host
    if not is_ours:
        raise PageError(403, UNCHANGED, "The request did not come from a page of this console. Send it from there.")


ROWS: Final = "id"
"""May be there once for each row that is ticked."""


def check_query(request: web.Request, names: Collection[str]) -> None:
    """Refuse a name in the query that the page does not know: a filter with a typing error would show everything.

    Raises:
        PageError: A name is not one of *names*, or was given twice.
    """
    for name in request.query:
        if name not in names:
            known = f"known are {', '.join(names)}" if names else "this page has none"
            raise PageError(422, "Invalid address", f"`{shown(name)}` is no filter of this page; {known}.")
        if len(request.query.getall(name)) > 1 and name != ROWS:
            raise PageError(422, "Invalid address", f"{name}: was given twice.")


async def read_form(request: web.Request) -> dict[str, str]:
    """Return the fields of a form; of a name that came twice the last one.

    Raises:
        PageError: The body is not a form as the console's pages send it.
    """
    if request.content_type != "application/x-www-form-urlencoded":
        raise PageError(415, UNCHANGED, "The request is not a form of this console.")
    try:
        return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    except (ValueError, LookupError):  # bytes that are not text, or an unknown charset
        raise PageError(400, UNCHANGED, "The form cannot be read.") from None


def set_cookie(
    request: web.Request,
    response: web.Response,
    name: str,
    value: str,
    seconds: float | None,
    *,
    same_site: str = "Strict",
) -> None:
    """Set a cookie for this site alone, out of reach of scripts; over https it is never sent in clear."""
    response.set_cookie(
        name,
        value,
        max_age=None if seconds is None else round(seconds),
        path="/",
        httponly=True,
        samesite=same_site,
        secure=is_https(request),
    )


def is_https(request: web.Request) -> bool:
    """Did the browser come by https? TLS ends at the platform's proxy, which says so."""
    forwarded = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower()
    return request.secure or forwarded == "https"
