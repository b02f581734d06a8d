"""What the adapters are made from: the ingress takes it from its environment, tests and `faxhook simulate` from values.

Secrets are plain texts here; `IngressSettings`, which hides them, reveals them only for this.
"""

from pathlib import Path

import msgspec


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Every provider's secrets; each tuple may hold several, all valid (rotation). Empty: the provider is off.

    Attributes:
        public_url: The part before path and query of the URLs that Phaxio was given.
        sinch_users: Paired with the passwords by position.
        sinch_allow_unverified: Take Sinch's callbacks unverified, if neither credentials nor secrets are set.
        asterisk_spool_dir: The folder of Asterisk's TIFFs; None: paths are kept as text and no file is read.
    """

    phaxio_callback_tokens: tuple[str, ...] = ()
    phaxio_api_secrets: tuple[str, ...] = ()
    telnyx_public_keys: tuple[str, ...] = ()
    sinch_users: tuple[str, ...] = ()
    sinch_passwords: tuple[str, ...] = ()
    sinch_hmac_secrets: tuple[str, ...] = ()
    sinch_allow_unverified: bool = False
    asterisk_secrets: tuple[str, ...] = ()
    asterisk_spool_dir: Path | None = None
    public_url: str = ""

    # A frozen struct prints its fields, and it may end up in a traceback or an assertion.
    def __repr__(self) -> str:
        return "ProviderSettings(***)"
