"""The command line `faxhook`: it talks to the stores directly, so it works while a service is down.

A command is imported when it is run: the libraries of all of them take most of a second.
"""

import os
import sys
from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Annotated, Any, Final, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from shared.errors import EXIT_BAD_INPUT
from shared.programs import version
from shared.runtime.interrupts import ending_at_once
from shared.runtime.output import ending_with_output


class Place(NamedTuple):
    """Where a command or group of commands is, and the beginning of its help."""

    module: str
    attribute: str
    help: str


WIDE: Final = "250"
NARROW: Final = "80"
"""Of tables and of help where the output has no width of its own."""

COMMANDS: Final[dict[str, dict[str, Place]]] = {
    "Inspect and repair": {
        "faxes": Place(
            "dispatcher.ops.faxes.commands",
            "app",
            "Show what happened to a fax, and why an endpoint did not get its events.",
        ),
        "events": Place(
            "dispatcher.ops.faxes.event_commands",
            "app",
            "Show events: what came from the providers, and how many endpoints it is owed to.",
        ),
        "deliveries": Place(
            "dispatcher.ops.deliveries.list_commands",
            "app",
            "Show what was sent to an endpoint, byte for byte; send it again.",
        ),
        "attempts": Place(
            "dispatcher.ops.deliveries.attempt_commands",
            "app",
            "Show attempts at deliveries: when, at which endpoint, and how they ended.",
        ),
        "document": Place(
            "dispatcher.ops.documents.commands",
            "document_command",
            "Save a fax's documents, or the raw body of a callback that could not be parsed. Each look is in the "
            "audit.",
        ),
        "dead": Place(
            "dispatcher.ops.dead.commands",
            "app",
            "Show, replay or discard what was given up on, or could not be understood.",
        ),
        "endpoints": Place(
            "dispatcher.ops.endpoints.recover_commands",
            "app",
            "Show, change and test endpoints: where an application gets its events.",
        ),
        "queues": Place(
            "dispatcher.ops.queues.commands",
            "queues_command",
            "Show every queue: depth, consumers, rates, the oldest message, and what is due next.",
        ),
        "reconcile": Place(
            "dispatcher.ops.reconcile",
            "reconcile_command",
            "After queues were lost: put back, at once, what is due and has no message. Once too often does no harm.",
        ),
        "backfill": Place(
            "dispatcher.ops.backfill",
            "backfill_command",
            "Take in the faxes that a provider finished and no callback reported. Once too often does no harm.",
        ),
        "account": Place(
            "dispatcher.ops.accounts.commands",
            "account_command",
            "Show for each provider and day: faxes of theirs, of ours, repaired, missing, delivered, owed, dead.",
        ),
        "alerts": Place(
            "dispatcher.ops.alerts.commands",
            "app",
            "Show what was raised, and send a test to each place that alerts go to.",
        ),
        "audit": Place(
            "dispatcher.ops.audit.commands",
            "audit_command",
            "Show who changed or looked at what, from where, and who was refused; the latest first. Times are UTC.",
        ),
        "export": Place(
            "dispatcher.ops.export.commands",
            "export_command",
            "Write every row of a list that matches to stdout. The last line says that it is whole, and how many rows "
            "it has.",
        ),
    },
    "Set up": {
        "migrate": Place(
            "dispatcher.ops.setup.ledger",
            "migrate_command",
            "Bring the ledger's schema up to date. Safe to repeat, and to run from several places at once.",
        ),
        "topology": Place(
            "dispatcher.ops.setup.broker",
            "topology_command",
            "Declare exchanges and queues on the broker, the delay queues by the table of BACKOFF. Safe to repeat.",
        ),
        "tokens": Place(
            "dispatcher.ops.access.commands", "app", "Create, list and revoke access tokens for API and console."
        ),
    },
    "Try out": {
        "simulate": Place(
            "dispatcher.ops.simulator.commands",
            "simulate_command",
            "Send sample callbacks to the ingress, signed as their provider signs.",
        ),
        "simulate-provider": Place(
            "dispatcher.ops.simulator.lists.commands",
            "simulate_provider_command",
            "Be Telnyx, Phaxio and Sinch: list APIs on 127.0.0.1, and callbacks of which some are never sent.",
        ),
        "listen": Place(
            "dispatcher.ops.listener.commands",
            "listen_command",
            "Receive webhooks: verify each as an application does, print it, answer 200 (401 if it is not verified).",
        ),
    },
}
"""By the headings of `--help`, in its order. That each help is the beginning of the command's own, a test holds."""

_PLACES: Final = {name: (heading, place) for heading, places in COMMANDS.items() for name, place in places.items()}


class Commands(MutableMapping[str, Any]):
    """The commands by name, each imported when it is looked up."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """Return a command, imported now if it was not before; KeyError if no command has this name."""
        if name not in self._loaded:
            heading, place = _PLACES[name]
            with ending_at_once():
                found = getattr(import_module(place.module), place.attribute)
            alone = typer.Typer()
            if isinstance(found, typer.Typer):
                alone.add_typer(found, name=name, rich_help_panel=heading)
            else:
                alone.command(name=name, rich_help_panel=heading)(found)
            self._loaded[name] = get_group(alone).commands[name]
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_PLACES)

    def __len__(self) -> int:
        return len(_PLACES)


class ByName(TyperGroup):
    """The commands in the order of `COMMANDS`; `--help` imports none of them."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = Commands()
        self._is_helping = False

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - as click calls it
        """Return their names."""
        return list(self.commands)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; for `--help` one that has its help only."""
        if not self._is_helping or cmd_name not in _PLACES:
            return super().get_command(ctx, cmd_name)
        heading, place = _PLACES[cmd_name]
        return TyperCommand(name=cmd_name, help=place.help, rich_help_panel=heading)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; a value that an option or argument cannot take ends it as our own refusals do."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            if type(error) is not typer.BadParameter or error.param is None:  # one that is missing: how it is called
                raise
            from dispatcher.ops.terminal import fail  # noqa: PLC0415 - slow to import, and only used here

            named = error.param.opts[0] if error.param.param_type_name == "option" else error.param.human_readable_name
            fail(f"{named}: {_in_plain_words(error.message)}", EXIT_BAD_INPUT)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        self._is_helping = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._is_helping = False


def _in_plain_words(message: str) -> str:
    """Return the library's refusal of a value as the rest of a sentence of ours.

    >>> _in_plain_words("'x' is not a valid int range."), _in_plain_words("0 is not in the range 1<=x<=9.")
    ("'x' is not a whole number", '0 is not in the range 1<=x<=9')
    """
    subject, is_said, kind = message.rstrip(".").partition(" is not a valid ")
    numbers = {"integer": "whole number", "int range": "whole number", "float": "number", "float range": "number"}
    return f"{subject} is not a {numbers.get(kind, f'valid {kind}')}" if is_said else subject


app = typer.Typer(
    cls=ByName,
    no_args_is_help=True,
    add_completion=False,
    help="Operate faxhook. It talks to the stores directly, so it works while a service is down.",
    epilog="Settings come from the environment: AMQP_URL, DATABASE_URL, … Exit codes: 0 done, 1 partly done, "
    "2 no such command or option, or one is missing, 65 the input is wrong, 69 something does not answer, 78 a setting "
    "is wrong.",
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"faxhook {version()}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take the options that stand before the command."""


def main() -> None:
    """Run the command line."""
    if sys.stdout is None or not sys.stdout.isatty():  # a file or a pipe has no width: no id is broken in two there
        os.environ.setdefault("COLUMNS", WIDE)
        os.environ.setdefault("TERMINAL_WIDTH", NARROW)
    with ending_with_output("faxhook"):
        app()
