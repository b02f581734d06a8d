"""Formats: the shape and signature that an application expects, whatever the provider was. Pure.

One module for each family, one line here. A module gets the event, the document and the facts of the
attempt; it says which events it has a word for, and renders them. To add one: a module with a mapping table, a line
here, a reader in `dispatcher.ops.listener.readers`; tests/dispatcher/formats/test_checklist.py says what is missing.
"""

from typing import Final

from dispatcher.formats.base import Facts, Format, Webhook
from dispatcher.formats.phaxio import PhaxioV1, PhaxioV2, PhaxioV21
from dispatcher.formats.sinch import SinchV3
from dispatcher.formats.standard import StandardV1
from dispatcher.formats.telnyx import TelnyxV2

FORMATS: Final[dict[str, Format]] = {
    "phaxio-v2.1": PhaxioV21(),
    "phaxio-v2": PhaxioV2(),
    "phaxio-v1": PhaxioV1(),
    "telnyx-v2": TelnyxV2(),
    "sinch-v3": SinchV3(),
    "standard-v1": StandardV1(),
}

DEFAULT_FORMAT: Final = "phaxio-v2.1"

__all__ = ["DEFAULT_FORMAT", "FORMATS", "Facts", "Format", "Webhook"]
