"""Ids that faxhook makes."""

import hashlib
import os
import time
from datetime import datetime
from typing import Final
from uuid import UUID

_COMMANDS: Final = UUID("6b0c1c1e-3d55-4f5c-9d0e-0f4b7f6a9e51").bytes
"""The namespace of command ids; any fixed one would do."""

_VARIANTS: Final = "89ab"
"""The digit that begins a UUID's fourth group, by its two free bits."""


def uuid7() -> UUID:
    """Return a new version 7 UUID (RFC 9562): milliseconds first, so that rows of one time are together in an index.

    Not a counter: an application that remembers delivery ids must not see one again after a ledger is replaced.
    """
    milliseconds = time.time_ns() // 1_000_000
    number = (milliseconds << 80) | int.from_bytes(os.urandom(10), "big")
    number = number & ~(0xF << 76) | (0x7 << 76)
    number = number & ~(0x3 << 62) | (0x2 << 62)
    return UUID(int=number)


def first_uuid7(at: datetime) -> UUID:
    """Return what no version 7 UUID made at *at* (aware) or later is less than, and each made earlier is.

    >>> str(first_uuid7(datetime.fromtimestamp(1)))
    '00000000-03e8-0000-0000-000000000000'
    """
    return UUID(int=max(0, int(at.timestamp() * 1_000)) << 80)


def parse_uuid(text: str) -> UUID | None:
    """Return the UUID that *text* is; None if it is not one."""
    try:
        return UUID(text)
    except ValueError:
        return None


def command_id(event_id: str, endpoint_id: UUID) -> str:
    """Return the UUID that an application may pass on as `command_id` when it answers this event with a command.

    Derived, so that a repeated delivery has the same one and cannot repeat the command.
    """
    # As `str(uuid.uuid5(…))` writes it (RFC 9562, section 5.5), which takes twice as long: it makes an object of it.
    digits = hashlib.sha1(_COMMANDS + f"{event_id} {endpoint_id}".encode(), usedforsecurity=False).hexdigest()
    variant = _VARIANTS[int(digits[16], 16) & 0x3]
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"
