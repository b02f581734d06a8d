"""Settings: what is missing or wrong is named, secrets never show themselves."""

from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from dispatcher.settings import DispatcherSettings
from ingress.settings import IngressSettings
from shared.settings import BadSetting, Secret, Settings, describe, load, masked


class Example(Settings, frozen=True, kw_only=True):
    amqp_url: Annotated[Secret, msgspec.Meta(description="the broker")]
    max_things: Annotated[int, msgspec.Meta(ge=1, description="things")] = 5
    is_open: Annotated[bool, msgspec.Meta(description="open")] = False
    tokens: Annotated[tuple[Secret, ...], msgspec.Meta(description="tokens")] = ()
    folder: Annotated[Path | None, msgspec.Meta(description="folder")] = None


URL = {"AMQP_URL": "amqp://user:hush@host/"}


def test_a_missing_variable_is_named_with_what_it_is_for() -> None:
    with pytest.raises(BadSetting, match="AMQP_URL is not set: the broker"):
        load(Example, {})


@pytest.mark.parametrize(
    ("name", "value"),
    [("MAX_THINGS", "0"), ("MAX_THINGS", "many"), ("IS_OPEN", "yes"), ("IS_OPEN", "2")],
)
def test_a_wrong_value_is_refused_naming_the_variable(name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=f"^{name} is wrong: "):
        load(Example, {**URL, name: value})


def test_values_are_converted_and_empty_ones_count_as_absent() -> None:
    environment = {**URL, "MAX_THINGS": "7", "IS_OPEN": "true", "TOKENS": "a, b,,c", "FOLDER": ""}
    settings = load(Example, environment)
    assert (settings.max_things, settings.is_open, settings.folder) == (7, True, None)
    assert [token.reveal() for token in settings.tokens] == ["a", "b", "c"]


def test_any_variable_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("amqp://from-a-file/\n")
    assert load(Example, {"AMQP_URL_FILE": str(tmp_path / "url")}).amqp_url.reveal() == "amqp://from-a-file/"
    with pytest.raises(BadSetting, match="AMQP_URL_FILE names a file that cannot be read"):
        load(Example, {"AMQP_URL_FILE": str(tmp_path / "none")})


def test_a_secret_shows_itself_in_no_rendering() -> None:
    settings = load(Example, {**URL, "TOKENS": "hush"})
    shown = f"{settings} {settings!r} {settings.tokens} {masked(settings)}"
    assert "hush" not in shown
    with pytest.raises(TypeError):
        msgspec.json.encode(settings.amqp_url)


@pytest.mark.parametrize("kind", [IngressSettings, DispatcherSettings])
def test_every_variable_has_a_description(kind: type[Settings]) -> None:
    assert all(description for _, _, description in describe(kind))


def test_the_ingress_knows_no_database() -> None:
    assert "DATABASE_URL" not in {name for name, _, _ in describe(IngressSettings)}


def test_sinch_users_without_as_many_passwords_are_refused() -> None:
    environment = {**URL, "MEDIA_URL": "file:///x", "SINCH_INBOUND_BASIC_USER": "a,b", "SINCH_INBOUND_BASIC_PASS": "c"}
    with pytest.raises(BadSetting, match="SINCH_INBOUND_BASIC_PASS"):
        load(IngressSettings, environment)


def test_phaxios_own_scheme_needs_the_public_url() -> None:
    with pytest.raises(BadSetting, match="PUBLIC_URL"):
        load(IngressSettings, {**URL, "MEDIA_URL": "file:///x", "PHAXIO_CALLBACK_TOKEN": "t"})


def test_a_backoff_that_cannot_be_read_is_named() -> None:
    environment = {**URL, "MEDIA_URL": "file:///x", "DATABASE_URL": "postgresql:///", "BACKOFF": "5x"}
    environment["SECRETS_KEY"] = "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s="
    with pytest.raises(BadSetting, match="BACKOFF is wrong: `5x`"):
        load(DispatcherSettings, environment)
