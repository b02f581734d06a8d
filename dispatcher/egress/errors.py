"""What may go wrong on the way out, each with its stable code."""

import ssl
from typing import Final

from dispatcher.egress.answer_reader import BadAnswer
from dispatcher.egress.guard import EgressRefused


class ProxyAway(Exception):
    """The egress proxy does not serve us. This is our own trouble."""

    code = "proxy_away"


class TunnelRefused(ConnectionError):
    """The egress proxy did not reach the host; *status* is what it said."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the egress proxy answered {status}")
        self.code = f"proxy_{status}"


class HostNotFound(OSError):
    """The name has no address, or its servers do not answer."""


FAILURES: Final = (BadAnswer, OSError, ValueError)
"""What `EgressClient.request` may raise beside `TimeoutError` and `ProxyAway`; `error_code` has a word for each."""

_ERROR_CODES: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (EgressRefused, "egress_refused"),
    (HostNotFound, "host_not_found"),
    (ssl.SSLError, "tls"),
    (ConnectionRefusedError, "refused"),
    (ConnectionError, "reset"),
    (BadAnswer, "bad_answer"),
)


def error_code(error: BaseException) -> str:
    """Return the stable code of what went wrong with a request; `network` for what is rare."""
    if isinstance(error, TunnelRefused):
        return error.code
    return next((code for kind, code in _ERROR_CODES if isinstance(error, kind)), "network")
