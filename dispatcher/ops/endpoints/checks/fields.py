"""Which fields of an endpoint are wrong: every one of them at once, and only of those that change. Pure.

An endpoint may hold what would be refused today: its host no longer resolves, its token is short. That must not stop a
person from changing another field.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from dispatcher.channels.static_headers import wrong_headers
from dispatcher.formats import FORMATS
from dispatcher.formats.tokens import check_token
from dispatcher.ops.endpoints.urls import BadEndpoint, checked_url, has_user, is_mail
from dispatcher.policy.endpoint import Endpoint, FaxMatch

E164: Final = re.compile(r"\+[1-9][0-9]{1,14}")
MOST_TOKENS: Final = 5
LONGEST_TIMEOUT_SECONDS: Final = 60.0
MOST_CONCURRENT: Final = 1_000
MOST_DESCRIPTION_CHARACTERS: Final = 200

Wrong = Mapping[str, str]
"""By the name of a field, why it is wrong: the rest of a sentence that begins with the name."""


def wrong_fields(after: Endpoint, before: Endpoint | None, given: Mapping[str, Any], unread: Wrong) -> dict[str, str]:
    """Return the fields of *after* that are wrong and were not the same in *before* (None: the endpoint is new).

    *given* holds the fields that the client set. Those that are *unread*, being of the wrong type, are not judged.
    """
    changed = {
        name for name in Endpoint.__struct_fields__ if before is None or getattr(after, name) != getattr(before, name)
    } - set(unread)
    wrong: dict[str, str] = {}
    for field, sentence in _wrong(after, before, given, changed):
        if field == "headers" and field in wrong:  # each sentence is of another header
            wrong[field] += f"; {sentence}"
        wrong.setdefault(field, sentence)
    return wrong


def _wrong(
    after: Endpoint, before: Endpoint | None, given: Mapping[str, Any], changed: set[str]
) -> Iterator[tuple[str, str]]:
    if changed & {"scope", "match", "direction"}:
        yield from _wrong_match(after)
    yield from _wrong_urls(after, changed)
    if "format" in changed and after.format not in FORMATS:
        yield "format", f"`{after.format[:40]}` is unknown; known are {', '.join(FORMATS)}"
    if not is_web(after):
        yield from _wrong_for_mail(after, given, changed)
    yield from _wrong_tokens(after, before, changed)
    if "description" in changed and (why := why_no_description(after.description)):
        yield "description", why
    if "timeout_seconds" in changed and not 0 < after.timeout_seconds <= LONGEST_TIMEOUT_SECONDS:
        yield "timeout_seconds", f"must be above 0 and at most {LONGEST_TIMEOUT_SECONDS:.0f}"
    if "max_concurrent" in changed and not 1 <= after.max_concurrent <= MOST_CONCURRENT:
        yield "max_concurrent", f"must be 1 to {MOST_CONCURRENT}"


def _wrong_urls(after: Endpoint, changed: set[str]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the URLs, and with the headers, which depend on them."""
    urls = {"url": after.url, "failover_url": after.failover_url}
    for field, url in urls.items():
        if field in changed and url is not None:
            try:
                checked_url(field, url)
            except BadEndpoint as error:
                yield from error.wrong.items()
    if changed & {"headers", *urls}:
        has_login = any(has_user(url) for url in urls.values() if url is not None)
        for sentence in wrong_headers(after.headers, has_login=has_login):
            yield "headers", sentence


def why_no_description(text: str) -> str:
    """Return why *text* is no description; empty if it is one."""
    if len(text) > MOST_DESCRIPTION_CHARACTERS:
        return f"longer than {MOST_DESCRIPTION_CHARACTERS} characters"
    return "" if text.isprintable() and text == text.strip() else "must be one line, without a blank at either end"


def is_web(endpoint: Endpoint) -> bool:
    """Is any of its URLs posted to? Only then do format and tokens mean something."""
    return not all(is_mail(url) for url in (endpoint.url, endpoint.failover_url) if url is not None)


def _wrong_for_mail(after: Endpoint, given: Mapping[str, Any], changed: set[str]) -> Iterator[tuple[str, str]]:
    if "format" in changed and "format" in given:
        yield "format", f"`{after.format[:40]}` is for webhooks, and a mailto url gets mail: leave format out"
    if "headers" in changed and after.headers:
        yield "headers", "headers are sent with webhooks, and a mailto url gets mail: leave headers out"
    if "tokens" in changed and after.tokens:
        yield "tokens", "a token signs webhooks, and a mailto url gets mail, which is not signed: leave tokens out"


def _wrong_tokens(after: Endpoint, before: Endpoint | None, changed: set[str]) -> Iterator[tuple[str, str]]:
    if not changed & {"tokens", "format"}:
        return
    if "tokens" in changed and len(after.tokens) > MOST_TOKENS:
        yield "tokens", f"more than {MOST_TOKENS}: drop the oldest first"
    known = () if before is None or "format" in changed else before.tokens
    for token in after.tokens:
        if token not in known and (why := check_token(after.format, token)):
            yield "tokens", why


def _wrong_match(endpoint: Endpoint) -> Iterator[tuple[str, str]]:
    match endpoint.scope, endpoint.match:
        case "global", None:
            pass
        case "global", _:
            yield "match", "an endpoint of scope global matches everything: leave it out"
        case "number", str(number):
            if E164.fullmatch(number) is None:
                yield "match", "must be a number in E.164, like +15551234567"
        case "fax", FaxMatch(provider=provider, fax_id=fax_id, job_id=job_id):
            by_id = provider is not None and bool(fax_id) and job_id is None
            by_job = provider is None and fax_id is None and bool(job_id)
            if not by_id and not by_job:
                yield "match", "must hold either provider and fax_id, or job_id alone"
        case "number", _:
            yield "match", "an endpoint of scope number needs a number in E.164"
        case _:
            yield "match", "an endpoint of scope fax needs {provider, fax_id} or {job_id}"
    if endpoint.scope == "number" and endpoint.direction == "sent":
        yield "direction", "an endpoint of scope number is for received faxes"
    if endpoint.scope == "fax" and endpoint.direction == "received":
        yield "direction", "an endpoint of scope fax is for sent faxes"
