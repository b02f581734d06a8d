"""Outcomes: what a channel reports of an attempt. Pure data."""

from typing import Final

import msgspec

ANSWER_KEPT_BYTES: Final = 2 * 1024
"""Of what the application answered, for the person who looks later."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The application has it."""

    url: str | None = None
    http_status: int | None = None
    answer: bytes = b""


class NotTold(msgspec.Struct, frozen=True, kw_only=True):
    """The endpoint failed us; this spends its budget.

    Attributes:
        error: A stable code: `timeout`, `refused`, `tls`, `host_not_found`, `http_503`, …
    """

    error: str
    url: str | None = None
    http_status: int | None = None
    answer: bytes = b""
    retry_after_seconds: float | None = None

    @property
    def is_gone(self) -> bool:
        """Did the endpoint answer 410?"""
        return self.http_status == 410  # noqa: PLR2004 - HTTP


class NotTried(msgspec.Struct, frozen=True, kw_only=True):
    """Our own trouble: nothing reached the endpoint, and nothing is counted."""

    error: str


Outcome = Told | NotTold | NotTried
