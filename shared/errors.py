"""The root of our errors: each class says how it is answered over HTTP and how it ends a command."""

from collections.abc import Mapping
from typing import ClassVar, Final

EXIT_BAD_INPUT: Final = 65
"""`EX_DATAERR`: the request cannot be fulfilled; nothing was changed."""

EXIT_AWAY: Final = 69
"""`EX_UNAVAILABLE`: what the command needs does not answer, or is in use; the same command may work later."""

EXIT_CRASHED: Final = 70
"""`EX_SOFTWARE`: our own code failed; the same command fails again until it is fixed."""

EXIT_BAD_SETTING: Final = 78
"""`EX_CONFIG`: a person must fix settings or stores first."""


class FaxhookError(Exception):
    """The root of our errors. The message is a sentence for a person: what happened, to which thing, what to do.

    Attributes:
        code: Stable, for programs: log field, metric tag, and `code` of the answer over HTTP.
        status: HTTP status of the answer. 500: no client is to see this error; it is answered as a crash.
        exit_code: Of a command that this error ends.
        field: The field or parameter that is wrong, where it is one; the first, where there are several.
        wrong: Why each of them is wrong, where there may be several.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = EXIT_BAD_INPUT
    field: str | None = None
    wrong: Mapping[str, str] = {}


class Misconfigured(FaxhookError):
    """A restart will not help: a person must fix settings or stores."""

    code = "misconfigured"
    exit_code = EXIT_BAD_SETTING


class Refused(FaxhookError):
    """A callback that gets no 200."""

    code = "refused"
    status = 400


class Malformed(Refused):
    """Not even the framing of the request can be read; or unsigned garbage."""

    code = "malformed"
    status = 400


class SignatureMissing(Refused):
    """The callback bears no signature (or secret) at all."""

    code = "signature_missing"
    status = 401


class SignatureInvalid(Refused):
    """The callback's signature does not match its content."""

    code = "signature_invalid"
    status = 401


class TimestampExpired(Refused):
    """The signature is right but its timestamp lies outside the tolerance: a replay, or a wrong clock."""

    code = "timestamp_expired"
    status = 401


class CredentialsInvalid(Refused):
    """User, password or shared secret are missing or wrong."""

    code = "credentials_invalid"
    status = 401


class NotFound(Refused):
    """No such path, or a provider that is not configured."""

    code = "not_found"
    status = 404


class MethodNotAllowed(Refused):
    """The path exists, the method does not."""

    code = "method_not_allowed"
    status = 405


class TooLarge(Refused):
    """The body is over the limit."""

    code = "too_large"
    status = 413


class UnsupportedMediaType(Refused):
    """A content type that the route does not know."""

    code = "unsupported_media_type"
    status = 415


class Unavailable(Refused):
    """We could not keep the callback; the provider shall try again."""

    code = "unavailable"
    status = 503


class Unreadable(FaxhookError):
    """An authenticated callback that our parser cannot turn into an event: it is quarantined, never dropped."""

    code = "unreadable"


def place_of(error: BaseException) -> str:
    """Return the type of *error* and where it was raised; not its message, which may quote a fax or a password.

    Our own errors are sentences made for people, and are returned as they are.
    """
    if isinstance(error, FaxhookError):
        return str(error)
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else f" at {trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"
    return f"{type(error).__name__}{where}"
