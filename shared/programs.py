"""The programs: each imports its service only when it runs, so that a missing library is one sentence.

Imports nothing but the standard library and modules that need no installed library themselves.
"""

import sys
from importlib import import_module
from typing import Final

from shared.errors import EXIT_BAD_SETTING
from shared.runtime.interrupts import EXIT_INTERRUPTED, ending_at_once

_OUR_PACKAGES: Final = frozenset({"ingress", "dispatcher", "shared", "deploy"})


def faxhook_ingress() -> int:
    """Run the ingress; return its exit code."""
    return run_program("faxhook-ingress", "ingress", "ingress.__main__")


def faxhook_dispatcher() -> int:
    """Run the dispatcher; return its exit code."""
    return run_program("faxhook-dispatcher", "dispatcher", "dispatcher.__main__")


def faxhook() -> int:
    """Run the command line `faxhook`; return its exit code."""
    return run_program("faxhook", "dispatcher", "dispatcher.ops.cli")


def version() -> str:
    """Return the version that is installed; empty if it is run from its source and not installed."""
    from importlib import metadata  # noqa: PLC0415 - slow to import, and rarely needed

    try:
        return metadata.version("faxhook")
    except metadata.PackageNotFoundError:
        return ""


def run_program(program: str, extra: str, module: str) -> int:
    """Call `main` of *module* and return its exit code.

    78 if a library is not installed, also one that it imports later: *extra* of the package holds all of them. Ctrl-C
    ends it without a traceback, however early it comes.
    """
    try:
        with ending_at_once():
            main = import_module(module).main
        return main() or 0
    except KeyboardInterrupt:  # before or after its event loop, which stops in order
        return EXIT_INTERRUPTED
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if not library or library in _OUR_PACKAGES:  # our own mistake, which no installation can repair
            raise
        install = f"pip install 'faxhook[{extra}]' ({library} is missing)"
        sys.stderr.write(f"{program} needs the {extra}'s libraries: {install}\n")
        return EXIT_BAD_SETTING
