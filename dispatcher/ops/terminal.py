"""What every command of the CLI shares: settings, stores that may be away, output for people and for programs."""

import asyncio
import os
import sys
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

import aiormq
import asyncpg
import msgspec
import typer
from rich.console import Console

from dispatcher.ops.exits import EXIT_AWAY, EXIT_BAD_INPUT, fail
from shared.errors import FaxhookError, Misconfigured
from shared.settings import EXIT_BAD_SETTING, BadSetting, Settings, load

console = Console()
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Value = TypeVar("Value")
Kind = TypeVar("Kind", bound=Settings)


def settings_of(kind: type[Kind]) -> Kind:
    """Return the command's settings, or end with the sentence that names the variable."""
    try:
        return load(kind, os.environ)
    except BadSetting as error:
        fail(str(error), EXIT_BAD_SETTING)


def run(work: Coroutine[Any, Any, Value]) -> Value:
    """Run *work*; what goes wrong becomes a sentence and an exit code."""
    try:
        return asyncio.run(work)
    except Misconfigured as error:
        fail(str(error), EXIT_BAD_SETTING)
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
        fail("the ledger is not migrated: run `faxhook migrate` first", EXIT_BAD_SETTING)
    except FaxhookError as error:
        fail(str(error), EXIT_BAD_INPUT)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, aiormq.exceptions.AMQPError, TimeoutError) as error:
        fail(f"a store does not answer: {error or type(error).__name__}", EXIT_AWAY)


def print_json(value: Any) -> None:
    """Print *value* as indented JSON."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")
