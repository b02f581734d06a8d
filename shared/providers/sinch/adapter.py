"""Sinch Fax v3: `INCOMING_FAX` and `FAX_COMPLETED`, as JSON or as a form, and Faxbot's flat shape of the former.

Sinch signs nothing; the operator configures what a callback must prove instead.
"""

from collections.abc import Sequence
from typing import Final

from shared.callback import Callback, Parsed, Verified
from shared.domain import Provider
from shared.errors import CredentialsInvalid, SignatureInvalid, SignatureMissing
from shared.providers.bodies import read_body
from shared.providers.sinch.documents import take_document
from shared.providers.sinch.event import compose
from shared.providers.sinch.shapes import flattened, read_report, unbracketed
from shared.signatures import verify_basic, verify_body

SIGNATURE: Final = "X-Sinch-Signature"
UNVERIFIED: Final = "sinch-unverified"

_DECIDING: Final = frozenset({"event", "fax", "id", "fax_id", "status", "fax[id]", "fax[status]", "fax[direction]"})
"""Fields that decide what happened."""

_BESIDE: Final = frozenset({"eventTime", "fileType"})
"""Other fields that a part may be, whatever its file name says."""


class SinchAdapter:
    """Sinch's callbacks.

    Args:
        users: Of Basic credentials in the callback URL; paired with the passwords by position.
        passwords: As many as users.
        hmac_secrets: Of `X-Sinch-Signature`, where the operator's own proxy signs.
        allow_unverified: Take everything, if neither of the above is configured.

    Raises:
        ValueError: Users and passwords do not pair up, or nothing is configured and that is not allowed.
    """

    provider: Provider = Provider.SINCH
    routes: tuple[str, ...] = ("/sinch-inbound",)

    def __init__(
        self,
        *,
        users: Sequence[str],
        passwords: Sequence[str],
        hmac_secrets: Sequence[str],
        allow_unverified: bool,
    ) -> None:
        if len(users) != len(passwords):
            raise ValueError(
                f"SINCH_INBOUND_BASIC_USER has {len(users)} values and SINCH_INBOUND_BASIC_PASS {len(passwords)}: "
                "they are paired by position"
            )
        self._credentials = tuple(zip(users, passwords, strict=True))
        self._secrets = tuple(filter(None, hmac_secrets))
        schemes = [name for name, used in (("basic", self._credentials), ("hmac", self._secrets)) if used]
        if not schemes and not allow_unverified:
            raise ValueError("Sinch needs SINCH_INBOUND_BASIC_USER and _PASS, or SINCH_INBOUND_HMAC_SECRET")
        self._by = "sinch-" + "+".join(schemes) if schemes else UNVERIFIED

    def verify(self, callback: Callback) -> Verified:
        """Check everything that is configured.

        Raises:
            CredentialsInvalid: Basic credentials are configured, and missing or wrong here.
            SignatureMissing: A secret is configured, and there is no signature.
            SignatureInvalid: There is a wrong one.
        """
        # Both are always computed: the time must not tell which of them was wrong.
        known = not self._credentials or verify_basic(self._credentials, callback.headers.get("Authorization"))
        given = (callback.headers.get(SIGNATURE) or "").strip()
        signed = not self._secrets or verify_body(self._secrets, given, callback.body)
        if not known:
            raise CredentialsInvalid("the Basic credentials are missing or wrong")
        if not signed and not given:
            raise SignatureMissing(f"no {SIGNATURE}")
        if not signed:
            raise SignatureInvalid(f"{SIGNATURE} does not match")
        return Verified(by=self._by)

    def parse(self, callback: Callback, verified: Verified) -> Parsed:
        """Make an event of a callback in Sinch's own shape or in Faxbot's flat one.

        Raises:
            Unreadable: It is in neither shape, names no fax, or its document is damaged.
        """
        content_type = callback.headers.get("Content-Type")
        sent, parts = read_body(content_type, callback.body, once=_DECIDING, fields=_BESIDE, file="file")
        report = read_report(flattened(unbracketed(sent)))
        document = take_document(report.sent, parts)
        # The dispatcher fetches what `media` names; a sender that nothing verified must not choose what that is.
        may_name_media = document is None and verified.by != UNVERIFIED
        event = compose(report, callback, may_name_media=may_name_media, has_document=document is not None)
        return Parsed(event=event, document=document)
