"""How a command ends when it cannot do what it was asked for: one sentence, and an exit code that scripts can use."""

import sys
from typing import Final, NoReturn

import typer

EXIT_BAD_INPUT: Final = 65
"""`EX_DATAERR`: what was asked for cannot be; nothing was changed."""

EXIT_AWAY: Final = 69
"""`EX_UNAVAILABLE`: what the command needs does not answer, or is taken; the same command may work later."""


EXIT_CRASHED: Final = 70
"""`EX_SOFTWARE`: our own code failed; the same command will not work before it is mended."""


def fail(sentence: str, code: int) -> NoReturn:
    """Say *sentence* and end with *code*."""
    sys.stderr.write(f"faxhook: {sentence}\n")
    raise typer.Exit(code)
