"""Options of a command that contradict each other are refused, both named; none of them is dropped silently."""

from collections.abc import Mapping, Sequence

import typer

from dispatcher.ops.terminal import fail
from shared.errors import EXIT_BAD_INPUT


def refuse_contradictions(
    context: typer.Context, pairs: Sequence[tuple[str, str, str]], needs: Mapping[str, str] | None = None
) -> None:
    """End the command if two of its options contradict each other, or one does nothing without another.

    Args:
        context: Of the command.
        pairs: Parameter names of two options, and why they cannot be used together.
        needs: For the name of an option, the one that it does nothing without.
    """
    given = given_options(context)
    for first, second, why in pairs:
        if first in given and second in given:
            contradiction(given[first], given[second], why)
    for option, other in (needs or {}).items():
        if option in given and other not in given:
            fail(f"{given[option]} does nothing without {_option_of(context, other)}", EXIT_BAD_INPUT)


def contradiction(first: str, second: str, why: str) -> None:
    """End the command with a sentence that names both options."""
    fail(f"{first} and {second} contradict each other: {why}", EXIT_BAD_INPUT)


def given_options(context: typer.Context) -> dict[str, str]:
    """Return the options that the command line names, each with how it is written, by the names of their parameters."""
    found = {}
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if parameter.param_type_name == "option" and source is not None and source.name == "COMMANDLINE":
            found[name] = parameter.opts[0]
    return found


def _option_of(context: typer.Context, name: str) -> str:
    return next(parameter.opts[0] for parameter in context.command.params if parameter.name == name)
