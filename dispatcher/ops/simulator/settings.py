"""Settings of `faxhook simulate`: the secrets that the ingress verifies by, from the same variables.

Telnyx needs one more: the ingress knows only its public key, so the seed of a key pair of your own is in
`TELNYX_SIMULATE_SEED` (`make run` makes one).
"""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta

from shared.settings import BadSetting, Secret, Settings

TELNYX_SEED: Final = "TELNYX_SIMULATE_SEED"
VARIABLES: Final = {
    "phaxio": "PHAXIO_CALLBACK_TOKEN (or PHAXIO_API_SECRET)",
    "telnyx": TELNYX_SEED,
    "sinch": "SINCH_INBOUND_BASIC_USER and SINCH_INBOUND_BASIC_PASS (or SINCH_INBOUND_HMAC_SECRET)",
    "asterisk": "ASTERISK_INBOUND_SECRET",
}
"""What each provider's samples are signed with, for people."""


class SimulateSettings(Settings, frozen=True, kw_only=True):
    """Variables of `faxhook simulate`: the ingress's own, and the seed that signs for Telnyx."""

    public_url: Annotated[str, Meta(description="as the ingress has it; absent: where the callback is sent")] = ""
    ingress_host: Annotated[str, Meta(description="where callbacks are sent unless --to says")] = "127.0.0.1"
    ingress_port: Annotated[int, Meta(ge=0, le=65_535, description="the same")] = 8080
    phaxio_callback_token: Annotated[tuple[Secret, ...], Meta(description="the first one signs")] = ()
    phaxio_api_secret: Annotated[tuple[Secret, ...], Meta(description="signs if there is no callback token")] = ()
    telnyx_simulate_seed: Annotated[
        Secret | None, Meta(description="base64 of the Ed25519 seed (32 bytes) whose public key is TELNYX_PUBLIC_KEY")
    ] = None
    sinch_inbound_basic_user: Annotated[tuple[str, ...], Meta(description="the first one is used")] = ()
    sinch_inbound_basic_pass: Annotated[tuple[Secret, ...], Meta(description="the first one is used")] = ()
    sinch_inbound_hmac_secret: Annotated[tuple[Secret, ...], Meta(description="the first one signs")] = ()
    asterisk_inbound_secret: Annotated[tuple[Secret, ...], Meta(description="the first one is sent")] = ()


def read_env_file(path: Path) -> dict[str, str]:
    """Read `KEY=value` lines as a shell does: quotes, `export`, comments and empty lines are understood.

    Raises:
        BadSetting: It cannot be read, or a line is not an assignment; the sentence shows no value.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(f"{path} cannot be read: {error}") from error
    return dict(_assignments(path, text))


def _assignments(path: Path, text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise BadSetting(f"{path} line {number}: {error}") from None
        for word in words[words[:1] == ["export"] :]:
            name, equals, value = word.partition("=")
            if not equals:
                raise BadSetting(f"{path} line {number} is not KEY=value")
            yield name, value
