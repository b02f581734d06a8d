"""Why there is no connection to the broker. Needs no AMQP library: every command tells these apart."""

from typing import Final

from shared.errors import EXIT_AWAY, EXIT_BAD_SETTING, FaxhookError

REFUSED: Final = "the broker refuses what AMQP_URL or OPS_AMQP_URL says"
"""For the sentence of an `AccessRefused`."""


class ConnectionLost(FaxhookError):
    """The connection or channel to the broker is gone; what was unconfirmed counts as not kept."""

    code = "broker_lost"
    status = 503
    exit_code = EXIT_AWAY


class AccessRefused(ConnectionLost):
    """The broker answers and lets us not in: user, password or vhost of its URL are wrong."""

    code = "broker_refused"
    exit_code = EXIT_BAD_SETTING
