"""The variables of the broker, which the dispatcher and several commands read beside others."""

from typing import Annotated

from msgspec import Meta

from shared.amqp.addresses import AMQP_URL_DESCRIPTION, check_addresses
from shared.backoff import DEFAULT_BACKOFF, parse_backoff
from shared.settings import BadSetting, Secret, Settings, check_url

AmqpUrl = Annotated[Secret, Meta(description=AMQP_URL_DESCRIPTION)]
Backoff = Annotated[str, Meta(description="wait before each retry: numbers with s, m, h; `*n` repeats")]
OpsAmqpUrl = Annotated[
    Secret | None, Meta(description="the same broker for operations, with the rights they need; absent: AMQP_URL")
]
RabbitmqApiUrl = Annotated[
    Secret | None,
    Meta(description="RabbitMQ's management API, `http://user:password@host:15672`: rates and unacked messages"),
]


class Broker:
    """What follows from the variables of the broker, for the settings that hold them."""

    __slots__ = ()

    amqp_url: AmqpUrl
    backoff: Backoff
    ops_amqp_url: OpsAmqpUrl
    rabbitmq_api_url: RabbitmqApiUrl

    def check_broker(self) -> None:
        """Check the broker's URLs and the table of waits."""
        check_addresses("AMQP_URL", self.amqp_url.reveal())
        check_addresses("OPS_AMQP_URL", self.for_operations())
        if self.rabbitmq_api_url is not None:
            check_url("RABBITMQ_API_URL", self.rabbitmq_api_url.reveal(), ("http", "https"))
        self.backoff_seconds()

    def for_operations(self) -> str:
        """Return the broker's URL for operations."""
        return (self.ops_amqp_url or self.amqp_url).reveal()

    def rabbitmq_api(self) -> str | None:
        """Return the URL of the broker's management API; None if it is not set."""
        return None if self.rabbitmq_api_url is None else self.rabbitmq_api_url.reveal()

    def backoff_seconds(self) -> tuple[float, ...]:
        """Return the table of waits, in seconds.

        Raises:
            BadSetting: The table cannot be read.
        """
        try:
            return parse_backoff(self.backoff)
        except ValueError as error:
            raise BadSetting(f"BACKOFF is wrong: {error}") from None


class TopologySettings(Settings, Broker, frozen=True, kw_only=True):
    """Variables of `faxhook topology`, which needs no ledger."""

    amqp_url: AmqpUrl
    backoff: Backoff = DEFAULT_BACKOFF
    ops_amqp_url: OpsAmqpUrl = None
    rabbitmq_api_url: RabbitmqApiUrl = None

    def check(self) -> None:
        """Check the broker's URLs and the table of waits."""
        self.check_broker()
