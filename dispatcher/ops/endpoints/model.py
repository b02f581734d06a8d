"""An endpoint as clients give it, by API, console or command line, and as it is shown. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from dispatcher.channels.static_headers import Headers
from dispatcher.formats.tokens import new_token, public_key
from dispatcher.ops.api.bad_fields import wrong_field
from dispatcher.ops.endpoints.bodies import EndpointBody, EndpointWithHealth, RotationAction, TokenBody
from dispatcher.ops.endpoints.checks.fields import is_web, wrong_fields
from dispatcher.ops.endpoints.reading.health import EndpointHealth
from dispatcher.ops.endpoints.reading.origin import Origin
from dispatcher.ops.endpoints.urls import BadEndpoint, masked_url
from dispatcher.policy.endpoint import Endpoint, EndpointDirection, FaxMatch, Overtaken, Scope
from shared.domain import EventType
from shared.ids import uuid7

SHOWN_CHARACTERS: Final = 4
LEAST_SHOWN: Final = 16
"""Of a shorter token nothing is shown: four characters would be too much of it."""


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
    paused: bool | UnsetType = UNSET
    types: Annotated[
        list[EventType] | UnsetType, Meta(description="exactly these events; empty: as `inflight` says")
    ] = UNSET
    headers: Annotated[
        dict[str, str | None] | UnsetType,
        Meta(description="sent with every webhook, in place of those before; null: as it was"),
    ] = UNSET
    description: str | UnsetType = UNSET

    allow_duplicate: Annotated[
        bool | UnsetType, Meta(description="take it though another endpoint gets the same faxes at the same URL")
    ] = UNSET


class GivenFields(msgspec.Struct, frozen=True):
    """Fields of an endpoint as a client gave them: those that could be read, and why each of the others could not."""

    values: dict[str, Any]
    wrong: dict[str, str] = {}
    allow_duplicate: bool = False


def read_fields(given: Mapping[str, Any], wrong: Mapping[str, str] | None = None) -> GivenFields:
    """Return *given* as fields, *wrong* being those that the caller could not read. Each is read on its own."""
    values: dict[str, Any] = {}
    unread = dict(wrong or {})
    for name, value in given.items():
        try:
            values[name] = getattr(msgspec.convert({name: value}, EndpointFields), name)
        except msgspec.ValidationError as error:
            field, reason = wrong_field(error, EndpointFields)
            unread.setdefault(field or "endpoint", reason)
    return GivenFields(values, unread, allow_duplicate=values.pop("allow_duplicate", False))


def new_endpoint(fields: GivenFields) -> Endpoint:
    """Return a new endpoint; without `tokens` one is generated, with an empty list it is not signed.

    Raises:
        BadEndpoint: Names every field that is wrong.
    """
    if "url" not in fields.values and "url" not in fields.wrong:
        fields = msgspec.structs.replace(fields, wrong={"url": "is missing", **fields.wrong})
    endpoint = _applied(Endpoint(id=uuid7(), url=""), None, fields)
    if "tokens" not in fields.values and is_web(endpoint):
        return msgspec.structs.replace(endpoint, tokens=(new_token(endpoint.format),))
    return endpoint


def apply_fields(endpoint: Endpoint, fields: GivenFields) -> Endpoint:
    """Return *endpoint* with *fields* in place of its own. What stays as it was is not judged.

    Raises:
        BadEndpoint: Names every field that is wrong.
    """
    return _applied(endpoint, endpoint, fields)


def _applied(endpoint: Endpoint, before: Endpoint | None, fields: GivenFields) -> Endpoint:
    values = dict(fields.values)
    if "tokens" in values:
        values["tokens"] = tuple(values["tokens"])
    if "types" in values:
        values["types"] = tuple(dict.fromkeys(map(str, values["types"])))
    wrong = dict(fields.wrong)
    values["damaged"] = tuple(each for each in endpoint.damaged if each not in values)
    if "headers" in values:
        try:
            values["headers"] = _with_known_values(endpoint.headers, values["headers"])
        except BadEndpoint as error:
            wrong |= error.wrong
            del values["headers"]
    after = msgspec.structs.replace(endpoint, **values)
    if wrong := {**wrong, **wrong_fields(after, before, values, wrong)}:
        raise BadEndpoint.of(wrong)
    return after


def _with_known_values(before: Headers, given: Mapping[str, str | None]) -> Headers:
    """Return *given* with the values of *before* where it has none."""
    known = {name.lower(): value for name, value in before}
    for name, value in given.items():
        if value is None and name.lower() not in known:
            raise BadEndpoint("headers", f"`{name[:40].encode('unicode_escape').decode()}` has no value yet")
    return tuple((name, known[name.lower()] if value is None else value) for name, value in given.items())


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
    by *dates*, when each was added; a second time it changes nothing. Damaged tokens give way to the one that is added.

    Raises:
        BadEndpoint: There is nothing to promote or drop, there are too many tokens, or *token* cannot sign.
    """
    if token is not None and action != "add":
        raise BadEndpoint("token", "goes with the action add only")
    tokens = list(endpoint.tokens)
    if action == "add":
        tokens.append(new_token(endpoint.format) if token is None else token)
    elif "tokens" in endpoint.damaged:
        raise BadEndpoint("tokens", "are damaged in the ledger: add one, which takes their place")
    elif not tokens:
        raise BadEndpoint("tokens", "the endpoint has none")
    else:
        tokens = [tokens.pop(_newest(dates)), *tokens] if action == "promote" else tokens[:1]
    return apply_fields(endpoint, GivenFields({"tokens": tokens}))


def _newest(dates: Sequence[datetime]) -> int:
    return max(range(len(dates)), key=dates.__getitem__)


def body_of(endpoint: Endpoint, *, tokens: bool = False) -> EndpointBody:
    """Return an endpoint as it is shown: passwords masked, tokens only where they were just set."""
    shown_instead = {
        "url": masked_url(endpoint.url),
        "failover_url": None if endpoint.failover_url is None else masked_url(endpoint.failover_url),
        "signed": bool(endpoint.tokens) or "tokens" in endpoint.damaged,
        "public_key": public_key(endpoint.format, endpoint.tokens[0]) if endpoint.tokens else None,
        "tokens": endpoint.tokens if tokens else UNSET,
        "headers": tuple(name for name, _ in endpoint.headers),
    }
    return EndpointBody(**{**msgspec.structs.asdict(endpoint), **shown_instead})


def with_health(
    endpoint: Endpoint, origin: Origin, dates: Sequence[datetime], health: EndpointHealth
) -> EndpointWithHealth:
    """Return an endpoint as it is shown by itself; *dates* are when each of its tokens was added."""
    return EndpointWithHealth(
        **msgspec.structs.asdict(body_of(endpoint)),
        created_at=origin.created_at,
        created_by=origin.created_by,
        token_list=token_bodies(endpoint, dates),
        next_rotation=next_rotation(dates),
        health=health,
    )


def shown(endpoint: Endpoint, *, tokens: bool = False) -> dict[str, Any]:
    """Return `body_of` as plain values."""
    fields: dict[str, Any] = msgspec.to_builtins(body_of(endpoint, tokens=tokens))
    return fields
