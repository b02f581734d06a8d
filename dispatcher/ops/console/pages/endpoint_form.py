"""The settings form of an endpoint: its values as fields of the API, and back. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from dispatcher.formats import DEFAULT_FORMAT
from dispatcher.ops.endpoints.model import GivenFields, read_fields
from dispatcher.ops.endpoints.urls import BadEndpoint, authority_end, is_mail, masked_url
from dispatcher.policy.endpoint import Endpoint, FaxMatch

MASK: Final = ":***@"
HIDDEN: Final = "***"

BLANK: Final[Mapping[str, str]] = {
    "scope": "global",
    "direction": "sent",
    "number": "",
    "provider": "",
    "fax_id": "",
    "job_id": "",
    "url": "",
    "failover_url": "",
    "format": DEFAULT_FORMAT,
    "signing": "generate",
    "token": "",
    "inflight": "",
    "overtaken": "",
    "enabled": "on",
    "timeout_seconds": "15",
    "max_concurrent": "8",
    "types": "",
    "headers": "",
    "description": "",
    "allow_duplicate": "",
}
"""All fields of the form, as a new endpoint has them."""


def values_of(endpoint: Endpoint) -> dict[str, str]:
    """Return what the form of *endpoint* holds; passwords masked, tokens left out."""
    fax = endpoint.match if isinstance(endpoint.match, FaxMatch) else FaxMatch()
    return {
        **BLANK,
        "scope": endpoint.scope,
        "direction": endpoint.direction,
        "number": endpoint.match if isinstance(endpoint.match, str) else "",
        "provider": fax.provider or "",
        "fax_id": fax.fax_id or "",
        "job_id": fax.job_id or "",
        "url": masked_url(endpoint.url),
        "failover_url": masked_url(endpoint.failover_url) if endpoint.failover_url else "",
        "format": endpoint.format,
        "inflight": "on" if endpoint.inflight else "",
        "overtaken": "on" if endpoint.overtaken == "deliver" else "",
        "enabled": "on" if endpoint.enabled else "",
        "types": ", ".join(endpoint.types),
        "headers": "\n".join(f"{name}: {HIDDEN}" for name, _ in endpoint.headers),
        "description": endpoint.description,
        "timeout_seconds": f"{endpoint.timeout_seconds:g}",
        "max_concurrent": str(endpoint.max_concurrent),
    }


def fields_of(form: Mapping[str, str], before: Endpoint | None) -> GivenFields:
    """Return the fields that a form sets, *before* being the endpoint that it changes.

    A form holds all fields, a browser leaves out a box that is not ticked, and a masked password stays what it was.
    """
    given: dict[str, Any] = {
        "inflight": bool(form.get("inflight")),
        "overtaken": "deliver" if form.get("overtaken") else "skip",
        "types": [each for each in form.get("types", "").replace(",", " ").split() if each],
        "description": form.get("description", "").strip(),
        "allow_duplicate": bool(form.get("allow_duplicate")),
    } | _applies_to(form)
    wrong: dict[str, str] = {}
    for name, read in (
        ("url", lambda: _url("url", form.get("url", ""), before.url if before else None)),
        (
            "failover_url",
            lambda: _url("failover_url", form.get("failover_url", ""), before.failover_url if before else None) or None,
        ),
        ("timeout_seconds", lambda: _number("timeout_seconds", form.get("timeout_seconds", ""), float)),
        ("max_concurrent", lambda: _number("max_concurrent", form.get("max_concurrent", ""), int)),
        ("headers", lambda: _headers(form.get("headers", ""))),
    ):
        try:
            given[name] = read()
        except BadEndpoint as error:
            wrong |= error.wrong
    if before is not None and "headers" in before.damaged and not given.get("headers"):
        given.pop("headers", None)  # empty because they cannot be shown, not because a person wants none
    if _is_posted_to(given):  # a form always holds a format and a way to sign; mail has neither
        given["format"] = form.get("format", "")
        given |= _tokens(form) if before is None else {}
    return read_fields(given, wrong)


def _is_posted_to(given: Mapping[str, Any]) -> bool:
    return not is_mail(given.get("url", "")) or not is_mail(given.get("failover_url") or "mailto:")


def _applies_to(form: Mapping[str, str]) -> dict[str, Any]:
    scope = form.get("scope", "global")
    direction = form.get("direction", "any")
    if scope == "number":
        return {"scope": scope, "match": form.get("number", "").strip() or None, "direction": "received"}
    if scope == "fax":
        wanted = {name: value for name in ("provider", "fax_id", "job_id") if (value := form.get(name, "").strip())}
        return {"scope": scope, "match": wanted or None, "direction": "sent"}
    return {"scope": scope, "match": None, "direction": direction}


def _tokens(form: Mapping[str, str]) -> dict[str, Any]:
    match form.get("signing", "generate"):
        case "unsigned":
            return {"tokens": []}
        case "own":
            return {"tokens": [form.get("token", "")]}
    return {}


def _url(field: str, given: str, before: str | None) -> str:
    given = given.strip()
    if before is None or MASK not in given:
        return given
    masked = masked_url(before)
    if given == masked:
        return before
    # The password may follow to another path of the same host, and nowhere else.
    start = masked.find(MASK) + len(MASK)
    end = authority_end(masked, start)
    if masked.find(MASK) >= 0 and given[: authority_end(given, start)] == masked[:end]:
        return before[: authority_end(before, before.find("://") + 3)] + given[end:]
    raise BadEndpoint(field, "enter the password again: *** stands for the one of another host, which is not shown")


def _headers(text: str) -> dict[str, str | None]:
    """Return one header for each line; a masked value stays what it was."""
    headers: dict[str, str | None] = {}
    for line in filter(None, (each.strip() for each in text.splitlines())):
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or not name or name in headers:
            raise BadEndpoint("headers", "each line must be `Name: value`, and each name another one")
        headers[name] = None if value == HIDDEN else value
    return headers


def _number(field: str, text: str, kind: type[int] | type[float]) -> float:
    try:
        return kind(text.strip())
    except ValueError:
        raise BadEndpoint(field, "must be a number") from None
