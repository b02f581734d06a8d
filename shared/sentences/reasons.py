"""Why a store could not be reached, in a sentence for the log: no password, no URL, one line."""

import asyncio
import socket
import ssl
from typing import Final

MOST_CHARACTERS: Final = 300


def reason_of(error: BaseException) -> str:
    """Return what *error* says of a failed connection.

    >>> reason_of(ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 5432)"))
    'the connection is refused: nothing listens on that host and port'
    >>> reason_of(socket.gaierror(-2, "Name or service not known"))
    'its host name cannot be resolved: Name or service not known'
    >>> reason_of(TimeoutError())
    'no answer in time'
    """
    sentence, detail = _of(error)
    return f"{sentence}: {one_line(detail)}" if detail else sentence


def _of(error: BaseException) -> tuple[str, str]:
    """Return what happened, and the words of the other side or of the system, if they say more."""
    match error:
        case ssl.SSLCertVerificationError():
            found = "its certificate is not accepted", getattr(error, "verify_message", "") or str(error)
        case ssl.SSLError():
            found = "TLS fails", getattr(error, "reason", "") or str(error)
        case socket.gaierror():
            found = "its host name cannot be resolved", error.strerror or ""
        case ConnectionRefusedError():
            found = "the connection is refused: nothing listens on that host and port", ""
        case TimeoutError():
            found = "no answer in time", ""
        case ConnectionResetError() | BrokenPipeError() | asyncio.IncompleteReadError():
            found = "the connection was closed before it was set up; one side may want TLS and the other not", ""
        case FileNotFoundError() | PermissionError():
            found = "a file that its URL names cannot be read", str(error.filename or "")
        case OSError():
            found = one_line(error.strerror or str(error)) or type(error).__name__, ""
        case _:
            found = type(error).__name__, ""
    return found


def one_line(text: str) -> str:
    """Return *text* on one line, and not longer than `MOST_CHARACTERS`."""
    return " ".join(text.split())[:MOST_CHARACTERS]
