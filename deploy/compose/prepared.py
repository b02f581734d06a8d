"""What the compose file reads beside the repository: secrets as files, the broker's users, the providers' secrets.

All of it is made once, in one folder that only its owner can open; a second call changes nothing, so that the stores'
passwords stay. The files themselves are readable by all: the containers' users are not ours.
"""

import base64
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from deploy.demo.settings import make_secrets
from shared.amqp.rights import RIGHTS, TAGS

VHOST: Final = "faxhook"

PROVIDER_VARIABLES: Final = (
    "PHAXIO_CALLBACK_TOKEN",
    "TELNYX_PUBLIC_KEY",
    "SINCH_INBOUND_BASIC_USER",
    "SINCH_INBOUND_BASIC_PASS",
    "ASTERISK_INBOUND_SECRET",
)

PROVIDERS_HEADER: Final = """\
# The providers' secrets, read by the ingress. Made up: replace them by yours, remove what you do not use (its route is
# off then), and run `make up` again. docs/settings.md lists all variables.
"""


def prepare(folder: Path) -> None:
    """Fill *folder* with what is missing in it."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    (folder / "secrets").mkdir(exist_ok=True)
    made = make_secrets()
    passwords = {user: _kept(folder, f"broker_{user}_password", secrets.token_hex(16)) for user in RIGHTS}
    owner = _kept(folder, "owner_password", secrets.token_hex(16))
    application = _kept(folder, "application_password", secrets.token_hex(16))
    for name in ("postgres_password", "grafana_password"):
        _kept(folder, name, secrets.token_hex(16))
    for user in ("owner", "ingress", "dispatcher", "ops"):
        _kept(folder, f"{user}_amqp_url", f"amqp://{user}:{passwords[user]}@broker:5672/{VHOST}")
    _kept(folder, "rabbitmq_api_url", f"http://monitor:{passwords['monitor']}@broker:15672")
    _kept(folder, "owner_database_url", f"postgresql://faxhook_owner:{owner}@ledger/faxhook")
    _kept(folder, "application_database_url", f"postgresql://faxhook:{application}@ledger/faxhook")
    for name in ("SECRETS_KEY", "OPS_TOKEN"):
        _kept(folder, name.lower(), made[name])
    _write_new(folder / "definitions.json", json.dumps(definitions(passwords), indent=1) + "\n")
    lines = [f"{name}={made[name]}\n" for name in PROVIDER_VARIABLES]
    _write_new(folder / "providers.env", PROVIDERS_HEADER + "".join(lines))


def definitions(passwords: Mapping[str, str]) -> dict[str, object]:
    """Return what RabbitMQ imports on a blank node: the vhost, and each user with its rights there."""
    return {
        "vhosts": [{"name": VHOST}],
        "users": [
            {
                "name": user,
                "password_hash": hash_password(password, secrets.token_bytes(4)),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": TAGS.get(user, []),
            }
            for user, password in passwords.items()
        ],
        "permissions": [
            {"user": user, "vhost": VHOST, **msgspec.structs.asdict(rights)} for user, rights in RIGHTS.items()
        ],
    }


def hash_password(password: str, salt: bytes) -> str:
    """Return RabbitMQ's hash of *password*: a salt of 4 bytes, then SHA-256 of salt and password, in base64.

    >>> hash_password("test12", bytes.fromhex("908dc60a"))
    'kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR'
    """
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _kept(folder: Path, name: str, fresh: str) -> str:
    """Return the secret *name*: what an earlier call made, else *fresh*."""
    path = folder / "secrets" / name
    _write_new(path, fresh)
    return path.read_text(encoding="utf-8").strip()


def _write_new(path: Path, text: str) -> None:
    """Write *path* unless it is there, all of it or nothing."""
    if path.exists():
        return
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.chmod(0o644)
    os.replace(part, path)  # noqa: PTH105 - as atomic, in one word
