"""Encryption at rest of what must be read back: endpoint tokens, answers that hold them.

Fernet (AES-128-CBC and HMAC-SHA256) of the library `cryptography`; SECRETS_KEY has its key format. Several keys are
valid at once and the first encrypts, so that a key can be replaced: put the new one in front, let everything be
written again, drop the old one.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from shared.errors import Misconfigured
from shared.settings import BadSetting


class Unsealable(Misconfigured):
    """No key of SECRETS_KEY opens what the ledger holds."""

    code = "unsealable"


class Damaged(Unsealable):
    """What the ledger holds was not sealed by any key: its row is damaged. No event is to blame for that."""

    code = "damaged"


_BEGINNING: Final = b"gAAAA"
"""Of everything that Fernet seals: its version, and the upper half of a time before the year 2106."""

_LEAST_BYTES: Final = 100


class Seal:
    """Seals and opens texts.

    Raises:
        BadSetting: There is no key, or one is not the URL-safe base64 of 32 bytes.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError:
            raise BadSetting(
                "SECRETS_KEY is wrong: each key must be the URL-safe base64 of 32 bytes, "
                "as `openssl rand -base64 32 | tr +/ -_` makes them"
            ) from None
        # An endpoint is read for each batch with an event for it, and changes rarely.
        self._open_once = lru_cache(maxsize=10_000)(self._open)

    def seal(self, text: str, after: datetime | None = None) -> bytes:
        """Return *text* encrypted with the first key.

        It bears the time, in whole seconds; with *after*, a second after that at the earliest.
        """
        seconds = int(time.time())
        if after is not None:
            seconds = max(seconds, int(after.timestamp()) + 1)
        return self._fernet.encrypt_at_time(text.encode(), seconds)

    def seal_again(self, sealed: bytes) -> bytes:
        """Return *sealed* encrypted with the first key; it keeps its time.

        Raises:
            Unsealable: No key fits.
            Damaged: No key could.
        """
        self.open(sealed)
        return self._fernet.rotate(sealed)

    def sealed_at(self, sealed: bytes) -> datetime:
        """Return when it was first sealed.

        Raises:
            Unsealable: No key fits.
            Damaged: No key could.
        """
        self.open(sealed)
        return datetime.fromtimestamp(self._fernet.extract_timestamp(sealed), UTC)

    def open(self, sealed: bytes) -> str:
        """Return the text.

        Raises:
            Unsealable: No key fits.
            Damaged: No key could.
        """
        return self._open_once(sealed)

    def _open(self, sealed: bytes) -> str:
        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken:
            if len(sealed) < _LEAST_BYTES or not sealed.startswith(_BEGINNING):
                raise Damaged("a token in the ledger is damaged: it was not sealed by any key") from None
            raise Unsealable(
                "SECRETS_KEY does not open the tokens in the ledger: the key that encrypted them must be among them"
            ) from None
