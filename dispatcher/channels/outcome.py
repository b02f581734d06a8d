"""Outcomes: what a channel reports of an attempt. `word` is what API, SQL, metrics and log call it. Pure data."""

from typing import ClassVar, Final

import msgspec

ANSWER_KEPT_BYTES: Final = 2 * 1024
"""Of the application's answer; shown with the attempts of its fax."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The application has the event. `sent`: what `channels.sent` records of the request; None where none was made."""

    word: ClassVar[str] = "told"
    error: ClassVar[None] = None
    url: str | None = None
    http_status: int | None = None
    answer: bytes = b""
    sent: str | None = None


class NotTold(msgspec.Struct, frozen=True, kw_only=True):
    """The endpoint failed; this spends the delivery's budget.

    Attributes:
        error: A stable code: `timeout`, `refused`, `tls`, `host_not_found`, `http_503`, …
    """

    word: ClassVar[str] = "not_told"
    error: str
    url: str | None = None
    http_status: int | None = None
    answer: bytes = b""
    retry_after_seconds: float | None = None
    sent: str | None = None

    @property
    def is_gone(self) -> bool:
        """Did the endpoint answer 410?"""
        return self.http_status == 410  # noqa: PLR2004 - HTTP


class NotTried(msgspec.Struct, frozen=True, kw_only=True):
    """Our own trouble: nothing reached the endpoint, and nothing is counted."""

    word: ClassVar[str] = "not_tried"
    url: ClassVar[None] = None
    http_status: ClassVar[None] = None
    answer: ClassVar[bytes] = b""
    sent: ClassVar[None] = None
    error: str


Outcome = Told | NotTold | NotTried
