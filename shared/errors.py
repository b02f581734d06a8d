"""Refusals and troubles, each with a stable `code` that is log field, metric tag and answer at once."""

from typing import ClassVar


class FaxhookError(Exception):
    """The root of our errors. The message is a sentence for a person: what happened, to which thing, what to do."""

    code: ClassVar[str] = "error"


class Misconfigured(FaxhookError):
    """Starting again will not help: a person must mend settings or stores. The process ends with exit 78."""

    code = "misconfigured"


class Refused(FaxhookError):
    """A callback that gets no 200. `status` is the HTTP status of the answer."""

    code: ClassVar[str] = "refused"
    status: ClassVar[int] = 400


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
