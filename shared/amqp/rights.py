"""Who may do what on the broker, as data, and whether the user that we are may do what we need.

Nothing is declared by the services: only the owner configures. Dead-lettering by the broker itself needs no right.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from pamqp import commands, frame
from pamqp.header import ContentHeader

from shared.amqp.channel import AmqpChannel, ChannelClosed
from shared.amqp.connection import connected
from shared.errors import Misconfigured

ACCESS_REFUSED: Final = 403
NOT_FOUND: Final = 404
CONNECT_SECONDS: Final = 10.0

OURS: Final = r"^(fax|work|retry|defer|dead)\."
NOTHING: Final = "^$"


class Rights(msgspec.Struct, frozen=True):
    """What a user may configure, write and read: regular expressions for the names of exchanges and queues."""

    configure: str
    write: str
    read: str


RIGHTS: Final = {
    "owner": Rights(OURS, OURS, OURS),
    "ingress": Rights(NOTHING, r"^fax\.(in|dead)$", NOTHING),
    "dispatcher": Rights(NOTHING, r"^fax\.(work|retry|dead)$", r"^work\."),
    "ops": Rights(NOTHING, r"^fax\.(in|work)$", r"^(dead|work|retry|defer)\."),
    "monitor": Rights(NOTHING, NOTHING, NOTHING),
}
"""Of each user in the vhost. *owner* runs `faxhook topology`, *ops* is `OPS_AMQP_URL`, *monitor* `RABBITMQ_API_URL`."""

TAGS: Final = {"monitor": ["monitoring"]}
"""The management API asks for a tag."""


class RightMissing(Misconfigured):
    """The broker's user lacks a right, or what it is for does not exist."""

    code = "right_missing"


async def verify_rights(amqp_url: str, writes: Sequence[str], reads: Sequence[str]) -> None:
    """Check that we may write to these exchanges and read these queues. Nothing is written or read.

    Raises:
        RightMissing: Names what we may not do, and where the rights are listed.
        ConnectionLost: The broker is away.
    """
    async with connected(amqp_url, "faxhook rights", CONNECT_SECONDS) as connection:
        requests = [("write to the exchange", name, _refused_publish(name)) for name in writes]
        requests += [("read the queue", name, _refused_consume(name)) for name in reads]
        for number, (what, name, request) in enumerate(requests, start=1):
            channel = await AmqpChannel.open(connection, number=number)
            channel.write(b"".join(frame.marshal(part, number) for part in request))
            try:
                await channel.call(commands.Basic.Qos(prefetch_count=1))
            except ChannelClosed as error:
                if error.reply_code == ACCESS_REFUSED:
                    raise RightMissing(
                        f"the broker's user may not {what} `{name}`: give it the rights of "
                        "deploy/rabbitmq/definitions.json"
                    ) from error
                if error.reply_code == NOT_FOUND:
                    raise RightMissing(f"the broker has no `{name}`: run `faxhook topology` first") from error
            else:
                await channel.close()


# The broker looks at the right first, then refuses the request for something else in it: nothing is done, and which of
# the two it was is in its answer.


def _refused_publish(exchange: str) -> list[Any]:
    properties = commands.Basic.Properties(user_id="faxhook-rights", expiration="never")
    return [commands.Basic.Publish(exchange=exchange, routing_key=""), ContentHeader(0, 0, properties)]


def _refused_consume(queue: str) -> list[Any]:
    return [commands.Basic.Consume(queue=queue, arguments={"x-priority": "none"})]
