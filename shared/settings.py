"""Settings from environment variables, and only from there.

A service declares a frozen struct; each field is a variable of the same name in capitals, with a type, limits and a
description. `load` converts the environment and names the variable in every error. Any `X` may come from a file named
by `X_FILE`. The documentation's table is generated from the same structs.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from shared.errors import Misconfigured
from shared.sentences.bad_values import bad_value
from shared.urls import Url, parse_url


class BadSetting(Misconfigured):
    """A variable is missing or wrong; the message names it."""

    code = "bad_setting"


class Secret:
    """A value that never shows itself.

    Not a subclass of `str`: that would leak through f-strings and JSON.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value. Search for calls of this to see who can read secrets."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename=str.upper):
    """Base of every settings struct: the field `amqp_url` is the variable `AMQP_URL`."""

    def check(self) -> None:
        """Raise `BadSetting` for what types and limits cannot say. Called by `load`."""


Kind = TypeVar("Kind", bound=Settings)


def load(kind: type[Kind], environ: Mapping[str, str]) -> Kind:
    """Convert *environ* to *kind*.

    Empty values count as absent, so that a compose file may pass on what is not set.

    Raises:
        BadSetting: A variable is missing or wrong, or the file of `X_FILE` cannot be read.
    """
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        name = field.encode_name
        text = _text_of(name, environ)
        if text:
            values[name] = _split(text) if get_origin(hints[field.name]) is tuple else text
        elif field.required:
            raise BadSetting(f"{name} is not set: {description_of(kind, field.name)}")
    try:
        settings = msgspec.convert(values, kind, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        bad = bad_value(error, kind)
        reason = bad.reason if bad.reason.partition(" ")[0] not in {"is", "has", "must"} else f"it {bad.reason}"
        raise BadSetting(f"{bad.field or kind.__name__} is wrong: {reason}") from None
    settings.check()
    return settings


def check_url(variable: str, url: str, schemes: Sequence[str]) -> Url:
    """Return the parts of *url*, which has one of *schemes*. Errors do not show it: it may hold a password.

    Raises:
        BadSetting: It is not a URL, or has another scheme.
    """
    try:
        parts = parse_url(url)
    except ValueError:
        raise BadSetting(
            f"{variable} is no URL; a `/`, `@` or `:` in its user or password must be percent-encoded"
        ) from None
    if parts.scheme not in schemes:
        raise BadSetting(f"{variable} is wrong: it must begin with {' or '.join(f'{each}://' for each in schemes)}")
    return parts


def describe(kind: type[Settings]) -> list[tuple[str, str, str]]:
    """Return a row for each variable of *kind*: name, default as text (`required` without one), description."""
    rows = []
    for field in msgspec.structs.fields(kind):
        default = "required" if field.required else _shown(field.default)
        rows.append((field.encode_name, default, description_of(kind, field.name)))
    return rows


def masked(settings: Settings) -> dict[str, Any]:
    """Return the effective settings for the log at start: secrets as `***`."""
    return {field.encode_name: _shown(getattr(settings, field.name)) for field in msgspec.structs.fields(settings)}


def description_of(kind: type[Settings], field_name: str) -> str:
    """Return the description that the field's `Annotated` metadata carries."""
    hint = get_type_hints(kind, include_extras=True)[field_name]
    return " ".join(meta.description for meta in get_args(hint) if isinstance(meta, msgspec.Meta) and meta.description)


def _text_of(name: str, environ: Mapping[str, str]) -> str:
    if text := environ.get(name, "").strip():
        return text
    file_name = environ.get(f"{name}_FILE", "").strip()
    if not file_name:
        return ""
    try:
        return Path(file_name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(f"{name}_FILE names a file that cannot be read: {error}") from error


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _decode(kind: type[Any], value: Any) -> Any:
    if kind is Secret:
        return Secret(value)
    if issubclass(kind, Path):
        return Path(value)
    raise NotImplementedError(kind)


def _shown(value: Any) -> str:
    if isinstance(value, Secret):
        return "***"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(_shown(item) for item in value)
    return "" if value is None else str(value)
