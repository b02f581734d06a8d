"""What proves a sample callback's sender: each provider's signature, credentials or shared secret."""

import base64
from datetime import datetime
from typing import Final

import msgspec

from dispatcher.ops.simulator.bodies import SampleBody
from shared.errors import FaxhookError
from shared.signatures import basic_header, sign_body, sign_phaxio, sign_telnyx


class MissingSecret(FaxhookError):
    """The sample cannot be signed: its provider's secret was not given."""

    code = "missing_secret"


class SampleSecrets(msgspec.Struct, frozen=True, kw_only=True):
    """What samples are signed with: one value each, empty where there is none.

    Attributes:
        phaxio_callback_token: Signs as Phaxio does; without it the API secret signs, as Faxbot does.
        telnyx_seed: Base64 of an Ed25519 seed of 32 bytes, whose public key the ingress must have been given: nobody
            but Telnyx can sign for Telnyx's own key.
        sinch_password: Goes with the user.
    """

    phaxio_callback_token: str = ""
    phaxio_api_secret: str = ""
    telnyx_seed: str = ""
    sinch_user: str = ""
    sinch_password: str = ""
    sinch_hmac_secret: str = ""
    asterisk_secret: str = ""

    def __repr__(self) -> str:
        return "SampleSecrets(***)"


def sign(provider: str, written: SampleBody, given: SampleSecrets, url: str, now: datetime) -> dict[str, str]:
    """Return the headers that make the ingress take *written*, posted to *url* at *now*.

    Raises:
        MissingSecret: *given* does not hold what this provider is proved by.
    """
    return _SIGNERS[provider](written, given, url, now)


def _sign_phaxio(written: SampleBody, given: SampleSecrets, url: str, _now: datetime) -> dict[str, str]:
    if given.phaxio_callback_token:
        signature = sign_phaxio(given.phaxio_callback_token, url, written.fields, written.files)
    elif given.phaxio_api_secret:
        signature = sign_body(given.phaxio_api_secret, written.body)
    else:
        raise MissingSecret("phaxio's samples are signed with a callback token or an API secret")
    return {"X-Phaxio-Signature": signature}


def _sign_telnyx(written: SampleBody, given: SampleSecrets, _url: str, now: datetime) -> dict[str, str]:
    try:
        seed = base64.b64decode(given.telnyx_seed, validate=True)
        timestamp = int(now.timestamp())
        signature = sign_telnyx(seed, timestamp, written.body)
    except ValueError:
        raise MissingSecret("telnyx's samples are signed with the base64 of an Ed25519 seed of 32 bytes") from None
    return {
        "telnyx-signature-ed25519": signature,
        "telnyx-timestamp": str(timestamp),
        "User-Agent": "telnyx-webhooks",
    }


def _sign_sinch(written: SampleBody, given: SampleSecrets, _url: str, _now: datetime) -> dict[str, str]:
    # Neither may be right, too: an ingress that was opened on purpose wants nothing.
    headers = {}
    if given.sinch_user or given.sinch_password:
        headers["Authorization"] = basic_header(given.sinch_user, given.sinch_password)
    if given.sinch_hmac_secret:
        headers["X-Sinch-Signature"] = sign_body(given.sinch_hmac_secret, written.body)
    return headers


def _sign_asterisk(_written: SampleBody, given: SampleSecrets, _url: str, _now: datetime) -> dict[str, str]:
    if not given.asterisk_secret:
        raise MissingSecret("asterisk's samples carry the shared secret")
    return {"X-Internal-Secret": given.asterisk_secret}


_SIGNERS: Final = {
    "phaxio": _sign_phaxio,
    "telnyx": _sign_telnyx,
    "sinch": _sign_sinch,
    "asterisk": _sign_asterisk,
}
