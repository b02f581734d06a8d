"""An endpoint as clients give it, by API, console or command line: checked as a whole, and as it is shown. Pure."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from dispatcher.formats import DEFAULT_FORMAT, FORMATS
from dispatcher.formats.tokens import check_token, new_token, public_key
from dispatcher.ops.api.bad_fields import wrong_field
from dispatcher.ops.endpoints.bodies import EndpointBody, EndpointWithHealth, RotationAction, TokenBody
from dispatcher.ops.endpoints.reading.health import EndpointHealth
from dispatcher.ops.endpoints.urls import BadEndpoint, checked_url, masked_url
from dispatcher.policy.endpoint import Endpoint, EndpointDirection, FaxMatch, Overtaken, Scope
from shared.ids import uuid7

E164: Final = re.compile(r"\+[1-9][0-9]{1,14}")
MOST_TOKENS: Final = 5
SHOWN_CHARACTERS: Final = 4
LEAST_SHOWN: Final = 16
"""Of a shorter token nothing is shown: four characters would be too much of it."""
LONGEST_TIMEOUT_SECONDS: Final = 60.0
MOST_CONCURRENT: Final = 1_000


class EndpointFields(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The fields that may be given; one that is absent stays as it is, or takes its default."""

    scope: Scope | UnsetType = UNSET
    direction: EndpointDirection | UnsetType = UNSET
    match: str | FaxMatch | UnsetType | None = UNSET
    url: str | UnsetType = UNSET
    failover_url: str | UnsetType | None = UNSET
    format: str | UnsetType = UNSET
    tokens: list[str] | UnsetType = UNSET
    inflight: bool | UnsetType = UNSET
    overtaken: Overtaken | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    timeout_seconds: float | UnsetType = UNSET
    max_concurrent: int | UnsetType = UNSET

    def given(self) -> dict[str, Any]:
        """Return the fields that are given, by name."""
        return {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not UNSET}


def read_fields(given: Mapping[str, Any]) -> EndpointFields:
    """Return *given* as fields.

    Raises:
        BadEndpoint: A field is unknown, or its value of the wrong type.
    """
    try:
        return msgspec.convert(given, EndpointFields)
    except msgspec.ValidationError as error:
        field, reason = wrong_field(error)
        raise BadEndpoint(field or "endpoint", reason) from None


def new_endpoint(fields: EndpointFields) -> Endpoint:
    """Return a new endpoint; without `tokens` one is generated, with an empty list it is not signed.

    Raises:
        BadEndpoint: Names the field that is wrong.
    """
    if fields.url is UNSET:
        raise BadEndpoint("url", "is missing")
    tokens = fields.tokens
    if tokens is UNSET:
        format_name = DEFAULT_FORMAT if fields.format is UNSET else fields.format
        is_signed = format_name in FORMATS and not fields.url.startswith("mailto:")
        tokens = [new_token(format_name)] if is_signed else []
    return apply_fields(Endpoint(id=uuid7(), url=fields.url, tokens=tuple(tokens)), fields)


def apply_fields(endpoint: Endpoint, fields: EndpointFields) -> Endpoint:
    """Return *endpoint* with *fields* in place of its own, checked as a whole.

    Raises:
        BadEndpoint: Names the field that is wrong.
    """
    given = fields.given()
    if "tokens" in given:
        given["tokens"] = tuple(given["tokens"])
    after = msgspec.structs.replace(endpoint, **given)
    _check(after)
    return after


def next_rotation(dates: Sequence[datetime]) -> RotationAction:
    """Return the next step of a rotation, *dates* being when each token was added, in their order."""
    if len(dates) < 2:  # noqa: PLR2004 - one signs, the other is the next one
        return "add"
    return "drop" if _newest(dates) == 0 else "promote"


def token_bodies(endpoint: Endpoint, dates: Sequence[datetime]) -> tuple[TokenBody, ...]:
    """Return the tokens of *endpoint* as they are shown; *dates* are when each was added."""
    return tuple(
        TokenBody(ends_with=token[-SHOWN_CHARACTERS:] if len(token) >= LEAST_SHOWN else "", added_at=added_at)
        for token, added_at in zip(endpoint.tokens, dates, strict=True)
    )


def rotate_tokens(
    endpoint: Endpoint, dates: Sequence[datetime], action: RotationAction, token: str | None = None
) -> Endpoint:
    """Return *endpoint* after one step of a rotation: `add`, `promote` once the application knows the token, `drop`.

    The first token signs (standard-v1 signs with all), so nothing changes for the application before `promote`. The
    token that `add` adds is the last one: *token*, or a generated one. `promote` puts the newest one in front,
    by *dates*, when each was added; a second time it changes nothing.

    Raises:
        BadEndpoint: There is nothing to promote or drop, there are too many tokens, or *token* cannot sign.
    """
    if token is not None and action != "add":
        raise BadEndpoint("token", "goes with the action add only")
    tokens = list(endpoint.tokens)
    if action == "add":
        tokens.append(new_token(endpoint.format) if token is None else token)
    elif not tokens:
        raise BadEndpoint("tokens", "the endpoint has none")
    else:
        tokens = [tokens.pop(_newest(dates)), *tokens] if action == "promote" else tokens[:1]
    return apply_fields(endpoint, EndpointFields(tokens=tokens))


def _newest(dates: Sequence[datetime]) -> int:
    return max(range(len(dates)), key=dates.__getitem__)


def body_of(endpoint: Endpoint, *, tokens: bool = False) -> EndpointBody:
    """Return an endpoint as it is shown: passwords masked, tokens only where they were just set."""
    shown_instead = {
        "url": masked_url(endpoint.url),
        "failover_url": None if endpoint.failover_url is None else masked_url(endpoint.failover_url),
        "signed": bool(endpoint.tokens),
        "public_key": public_key(endpoint.format, endpoint.tokens[0]) if endpoint.tokens else None,
        "tokens": endpoint.tokens if tokens else UNSET,
    }
    return EndpointBody(**{**msgspec.structs.asdict(endpoint), **shown_instead})


def with_health(endpoint: Endpoint, dates: Sequence[datetime], health: EndpointHealth) -> EndpointWithHealth:
    """Return an endpoint as it is shown by itself; *dates* are when each of its tokens was added."""
    return EndpointWithHealth(
        **msgspec.structs.asdict(body_of(endpoint)),
        token_list=token_bodies(endpoint, dates),
        next_rotation=next_rotation(dates),
        health=health,
    )


def shown(endpoint: Endpoint, *, tokens: bool = False) -> dict[str, Any]:
    """Return `body_of` as plain values."""
    fields: dict[str, Any] = msgspec.to_builtins(body_of(endpoint, tokens=tokens))
    return fields


def _check(endpoint: Endpoint) -> None:
    _check_match(endpoint)
    checked_url("url", endpoint.url)
    if endpoint.failover_url is not None:
        checked_url("failover_url", endpoint.failover_url)
    if endpoint.format not in FORMATS:
        raise BadEndpoint("format", f"`{endpoint.format[:40]}` is unknown; known are {', '.join(FORMATS)}")
    if len(endpoint.tokens) > MOST_TOKENS:
        raise BadEndpoint("tokens", f"more than {MOST_TOKENS}: drop the oldest first")
    for token in endpoint.tokens:
        if why := check_token(endpoint.format, token):
            raise BadEndpoint("tokens", why)
    if not 0 < endpoint.timeout_seconds <= LONGEST_TIMEOUT_SECONDS:
        raise BadEndpoint("timeout_seconds", f"must be above 0 and at most {LONGEST_TIMEOUT_SECONDS:.0f}")
    if not 1 <= endpoint.max_concurrent <= MOST_CONCURRENT:
        raise BadEndpoint("max_concurrent", f"must be 1 to {MOST_CONCURRENT}")


def _check_match(endpoint: Endpoint) -> None:
    match endpoint.scope, endpoint.match:
        case "global", None:
            pass
        case "global", _:
            raise BadEndpoint("match", "an endpoint of scope global matches everything: leave it out")
        case "number", str(number):
            if E164.fullmatch(number) is None:
                raise BadEndpoint("match", "must be a number in E.164, like +15551234567")
            if endpoint.direction == "sent":
                raise BadEndpoint("direction", "an endpoint of scope number is for received faxes")
        case "fax", FaxMatch(provider=provider, fax_id=fax_id, job_id=job_id):
            by_id = provider is not None and bool(fax_id) and job_id is None
            by_job = provider is None and fax_id is None and bool(job_id)
            if not by_id and not by_job:
                raise BadEndpoint("match", "must hold either provider and fax_id, or job_id alone")
            if endpoint.direction == "received":
                raise BadEndpoint("direction", "an endpoint of scope fax is for sent faxes")
        case "number", _:
            raise BadEndpoint("match", "an endpoint of scope number needs a number in E.164")
        case _:
            raise BadEndpoint("match", "an endpoint of scope fax needs {provider, fax_id} or {job_id}")
