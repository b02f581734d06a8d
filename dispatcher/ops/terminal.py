"""What every command of the CLI shares: settings, errors as exit codes, output for people and for programs."""

import asyncio
import getpass
import logging
import os
import socket
import sys
from collections.abc import Coroutine, Mapping
from typing import Annotated, Any, Final, NoReturn, TypeVar

import asyncpg
import msgspec
import structlog
import typer
from rich.console import Console

from dispatcher.ops.api.audit import ORIGIN
from dispatcher.ops.api.bad_fields import wrong_field
from shared.amqp.errors import REFUSED, AccessRefused, ConnectionLost
from shared.errors import EXIT_AWAY, EXIT_BAD_INPUT, EXIT_BAD_SETTING, FaxhookError
from shared.settings import BadSetting, Settings, load
from shared.sql.connection import SESSION_ERRORS, SharedSession, ledger_reason
from shared.sql.roles import MAY_NOT_READ

console = Console()
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Value = TypeVar("Value")

EXIT_DECLINED: Final = 1
"""The answer to the question was no."""

LEDGER_REFUSALS: Final = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)
"""The server answers, and user, password or database of DATABASE_URL are wrong."""

Kind = TypeVar("Kind", bound=Settings)
Struct = TypeVar("Struct", bound=msgspec.Struct)


def fail(sentence: str, code: int) -> NoReturn:
    """Print *sentence* to stderr and end with exit *code*."""
    sys.stderr.write(f"faxhook: {sentence}\n")
    raise typer.Exit(code)


def settings_of(kind: type[Kind]) -> Kind:
    """Return the command's settings, or end with the sentence that names the variable."""
    try:
        return load(kind, os.environ)
    except BadSetting as error:
        fail(str(error), error.exit_code)


def read_options(given: Mapping[str, Any], kind: type[Struct], options: Mapping[str, str] | None = None) -> Struct:
    """Return *given* as a struct of *kind*, or end with a sentence that names the option.

    *options* are those that are not named like their field.
    """
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        field, reason = wrong_field(error, kind)
        option = (options or {}).get(field or "", f"--{field}".replace("_", "-"))
        fail(f"{option}: {reason}", EXIT_BAD_INPUT)


def run(work: Coroutine[Any, Any, Value]) -> Value:
    """Run *work*; an error ends the command with a sentence and its exit code."""
    if not structlog.is_configured():
        # The code of the services logs, too: only its errors, and not to stdout, which is for the command's output.
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
            logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        )
    ORIGIN.set(_own_origin())
    try:
        return asyncio.run(work)
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
        fail("the ledger is not migrated: run `faxhook migrate` first", EXIT_BAD_SETTING)
    except asyncpg.InsufficientPrivilegeError:
        fail(MAY_NOT_READ, EXIT_BAD_SETTING)
    except SESSION_ERRORS:
        fail(str(SharedSession()), SharedSession.exit_code)
    except AccessRefused as error:
        fail(f"{REFUSED}: {error}", error.exit_code)
    except ConnectionLost as error:
        fail(f"the broker does not answer: {error}", error.exit_code)
    except FaxhookError as error:
        is_refused = isinstance(error.__cause__, LEDGER_REFUSALS)
        fail(str(error), EXIT_BAD_SETTING if is_refused else error.exit_code)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        fail(f"a store does not answer: {ledger_reason(error)}", EXIT_AWAY)


def _own_origin() -> str:
    """Return user and host, as the audit shows where a command came from."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without an account, as in containers
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def confirm(sentence: str, question: str, *, as_json: bool) -> None:
    """Say *sentence* and ask; end the command if the answer is no, or if there is no terminal to ask on."""
    if as_json or not has_terminal():
        fail(f"{sentence}\n" * bool(sentence) + "there is no terminal to ask on: say --yes", EXIT_BAD_INPUT)
    if sentence:
        console.print(sentence, soft_wrap=True, markup=False, highlight=False)
    if not typer.confirm(question):
        fail("nothing was changed", EXIT_DECLINED)


def has_terminal() -> bool:
    """Is there a person to ask?"""
    return sys.stdin.isatty()


def print_json(value: Any) -> None:
    """Print *value* as indented JSON."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")
