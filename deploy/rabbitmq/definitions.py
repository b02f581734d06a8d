"""Writes definitions.json: vhost, users, rights, exchanges, queues and bindings, from the topology in code.

The users have no passwords, so none of them can log in before it gets one (`rabbitmqctl change_password`).

    python -m deploy.rabbitmq.definitions        (a part of `make docs`)
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from shared.amqp.rights import RIGHTS, TAGS
from shared.backoff import DEFAULT_BACKOFF, parse_backoff
from shared.broker import topology

PATH: Final = Path(__file__).with_name("definitions.json")
VHOST: Final = "faxhook"


def definitions(
    backoff: str = DEFAULT_BACKOFF, vhost: str = VHOST, password_hashes: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return what RabbitMQ imports, for the waits of *backoff*; a user without a hash cannot log in."""
    wanted = topology(parse_backoff(backoff))
    hashes = password_hashes or {}
    return {
        "vhosts": [{"name": vhost}],
        "users": [
            {
                "name": user,
                "password_hash": hashes.get(user, ""),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": TAGS.get(user, []),
            }
            for user in RIGHTS
        ],
        "permissions": [
            {"user": user, "vhost": vhost, **msgspec.structs.asdict(rights)} for user, rights in RIGHTS.items()
        ],
        # What a queue does is in its arguments; a policy would be a second place.
        "policies": [],
        "exchanges": [
            {
                "name": exchange.name,
                "vhost": vhost,
                "type": exchange.kind,
                "durable": True,
                "auto_delete": False,
                "internal": False,
                "arguments": {},
            }
            for exchange in wanted.exchanges
        ],
        "queues": [
            {
                "name": queue.name,
                "vhost": vhost,
                "durable": True,
                "auto_delete": False,
                "arguments": queue.all_arguments(),
            }
            for queue in wanted.queues
        ],
        "bindings": [
            {
                "source": queue.exchange,
                "vhost": vhost,
                "destination": queue.name,
                "destination_type": "queue",
                "routing_key": queue.key,
                "arguments": {},
            }
            for queue in wanted.queues
        ],
    }


def text() -> str:
    """Return the file as it must be."""
    return json.dumps(definitions(), indent=2) + "\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
