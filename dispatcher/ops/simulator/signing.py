"""Signs sample callbacks: each provider's signature, credentials or shared secret."""

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from dispatcher.ops.simulator.bodies import SampleBody
from dispatcher.ops.simulator.settings import SimulateSettings
from shared.errors import FaxhookError
from shared.settings import Secret
from shared.signatures import basic_header, sign_body, sign_phaxio, sign_telnyx


class MissingSecret(FaxhookError):
    """The sample cannot be signed: its provider's secret was not given."""

    code = "missing_secret"


def sign(provider: str, content: SampleBody, settings: SimulateSettings, url: str, now: datetime) -> dict[str, str]:
    """Return the headers with which the ingress accepts *content*, posted to *url* at *now*.

    Raises:
        MissingSecret: *settings* does not hold this provider's secret.
    """
    return _SIGNERS[provider](content, settings, url, now)


def _sign_phaxio(content: SampleBody, settings: SimulateSettings, url: str, _now: datetime) -> dict[str, str]:
    if token := _first(settings.phaxio_callback_token):
        signature = sign_phaxio(token, url, content.fields, content.files)
    elif secret := _first(settings.phaxio_api_secret):
        signature = sign_body(secret, content.body)
    else:
        raise MissingSecret("phaxio's samples are signed with a callback token or an API secret")
    return {"X-Phaxio-Signature": signature}


def _sign_telnyx(content: SampleBody, settings: SimulateSettings, _url: str, now: datetime) -> dict[str, str]:
    timestamp = int(now.timestamp())
    seed = settings.telnyx_simulate_seed
    try:
        signature = sign_telnyx(base64.b64decode(seed.reveal() if seed else "", validate=True), timestamp, content.body)
    except ValueError:
        raise MissingSecret("telnyx's samples are signed with the base64 of an Ed25519 seed of 32 bytes") from None
    return {
        "telnyx-signature-ed25519": signature,
        "telnyx-timestamp": str(timestamp),
        "User-Agent": "telnyx-webhooks",
    }


def _sign_sinch(content: SampleBody, settings: SimulateSettings, _url: str, _now: datetime) -> dict[str, str]:
    # Without any secret it is sent unsigned: SINCH_INBOUND_ALLOW_UNVERIFIED may have opened the ingress to that.
    headers = {}
    user = settings.sinch_inbound_basic_user[0] if settings.sinch_inbound_basic_user else ""
    password = _first(settings.sinch_inbound_basic_pass)
    if user or password:
        headers["Authorization"] = basic_header(user, password)
    if secret := _first(settings.sinch_inbound_hmac_secret):
        headers["X-Sinch-Signature"] = sign_body(secret, content.body)
    return headers


def _sign_asterisk(_content: SampleBody, settings: SimulateSettings, _url: str, _now: datetime) -> dict[str, str]:
    secret = _first(settings.asterisk_inbound_secret)
    if not secret:
        raise MissingSecret("asterisk's samples carry the shared secret")
    return {"X-Internal-Secret": secret}


def _first(values: Sequence[Secret]) -> str:
    return values[0].reveal() if values else ""


_SIGNERS: Final = {
    "phaxio": _sign_phaxio,
    "telnyx": _sign_telnyx,
    "sinch": _sign_sinch,
    "asterisk": _sign_asterisk,
}
