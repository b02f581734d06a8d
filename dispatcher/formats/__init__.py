"""Formats: the shape and signature that an application expects, whatever the provider was. Pure.

One module for each family, one line here. A module needs nothing but the event, the document and the facts of the
attempt; it says for which events it has a word, and renders them.
"""

from typing import Final

from dispatcher.formats.base import Facts, Format, Webhook
from dispatcher.formats.phaxio import PhaxioV21

FORMATS: Final[dict[str, Format]] = {
    "phaxio-v2.1": PhaxioV21(),
}

DEFAULT_FORMAT: Final = "phaxio-v2.1"

__all__ = ["DEFAULT_FORMAT", "FORMATS", "Facts", "Format", "Webhook"]
