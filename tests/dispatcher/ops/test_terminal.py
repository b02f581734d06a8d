"""A command that fails ends with one sentence and the exit code that the error's class names."""

import asyncpg
import pytest
import typer

from dispatcher.configuration.broker import TopologySettings
from dispatcher.ledger.health import SchemaMissing
from dispatcher.ledger.pool import LedgerAway
from dispatcher.ops.api.idempotency import CommandReused
from dispatcher.ops.dead.errors import NothingMatches, TakenByAnother
from dispatcher.ops.endpoints.urls import BadEndpoint
from dispatcher.ops.terminal import run, settings_of
from shared.amqp.errors import ConnectionLost

ENDS: list[tuple[Exception, int]] = [
    (BadEndpoint("url", "names no host"), 65),
    (CommandReused("the id was used"), 65),
    (NothingMatches("nothing matches"), 65),
    (TakenByAnother("in use"), 69),
    (LedgerAway("no connection"), 69),
    (ConnectionLost("no connection"), 69),
    (asyncpg.ConnectionDoesNotExistError("gone"), 69),
    (OSError("refused"), 69),
    (SchemaMissing("run `faxhook migrate`"), 78),
    (asyncpg.UndefinedTableError("endpoints"), 78),
]


@pytest.mark.parametrize(("error", "code"), ENDS, ids=lambda value: type(value).__name__)
def test_an_error_ends_the_command_with_its_exit_code_and_one_sentence(
    error: Exception, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async def work() -> None:
        raise error

    with pytest.raises(typer.Exit) as ended:
        run(work())
    assert ended.value.exit_code == code
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert printed.err.startswith("faxhook: ")


def test_a_setting_that_is_missing_ends_the_command_with_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AMQP_URL", raising=False)
    with pytest.raises(typer.Exit) as ended:
        settings_of(TopologySettings)
    assert ended.value.exit_code == 78
    assert "AMQP_URL" in capsys.readouterr().err
