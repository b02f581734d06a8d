"""Sample callbacks on their way to the ingress, signed as their provider signs. The command: `simulate_command`.

The secrets are those of the ingress, from the same variables. Telnyx alone needs one more: the ingress knows only its
public key, so the seed of a pair of your own making is in `TELNYX_SIMULATE_SEED` (`make run` makes one).
"""

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import aiohttp
import msgspec
from msgspec import Meta
from yarl import URL

from dispatcher.ops.simulator.samples import SampleCallback, build
from dispatcher.ops.simulator.signing import SampleSecrets
from shared.domain import utc_now
from shared.settings import BadSetting, Secret, Settings

TELNYX_SEED: Final = "TELNYX_SIMULATE_SEED"
VARIABLES: Final = {
    "phaxio": "PHAXIO_CALLBACK_TOKEN (or PHAXIO_API_SECRET)",
    "telnyx": TELNYX_SEED,
    "sinch": "SINCH_INBOUND_BASIC_USER and SINCH_INBOUND_BASIC_PASS (or SINCH_INBOUND_HMAC_SECRET)",
    "asterisk": "ASTERISK_INBOUND_SECRET",
}
"""What proves each provider's samples, for people."""

ANSWER_SECONDS: Final = 10.0
OK: Final = 200


class SimulateSettings(Settings, frozen=True, kw_only=True):
    """Variables of `faxhook simulate`: the ingress's own, and the seed that makes Telnyx's signatures."""

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


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the ingress answered."""

    http_status: int
    body: dict[str, Any]

    @property
    def event_id(self) -> str:
        """Of the event that was accepted; empty if none was."""
        return str(self.body.get("event_id") or "")


def sample_secrets(settings: SimulateSettings) -> SampleSecrets:
    """Return the first value of each secret."""

    def first(values: Sequence[Secret]) -> str:
        return values[0].reveal() if values else ""

    seed = settings.telnyx_simulate_seed
    return SampleSecrets(
        phaxio_callback_token=first(settings.phaxio_callback_token),
        phaxio_api_secret=first(settings.phaxio_api_secret),
        telnyx_seed=seed.reveal() if seed else "",
        sinch_user=settings.sinch_inbound_basic_user[0] if settings.sinch_inbound_basic_user else "",
        sinch_password=first(settings.sinch_inbound_basic_pass),
        sinch_hmac_secret=first(settings.sinch_inbound_hmac_secret),
        asterisk_secret=first(settings.asterisk_inbound_secret),
    )


def make_sample(settings: SimulateSettings, base_url: str, provider: str, event: str, **options: Any) -> SampleCallback:
    """Return a callback, signed with the secrets of *settings*; *options* are those of `samples.build`.

    Raises:
        UnknownSample: No such provider or event.
        BadChange: A change that cannot be made.
        MissingSecret: Its secret is not set.
    """
    public_url = settings.public_url or base_url
    return build(provider, event, secrets=sample_secrets(settings), public_url=public_url, now=utc_now(), **options)


async def send(session: aiohttp.ClientSession, base_url: str, sample: SampleCallback) -> Answer:
    """POST *sample* to the ingress at *base_url*."""
    url = URL(base_url.rstrip("/") + sample.target, encoded=True)
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    async with session.post(
        url, data=sample.body, headers=sample.headers, timeout=timeout, allow_redirects=False
    ) as response:
        content = await response.read()
    try:
        body = msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.DecodeError:  # not our ingress, or a proxy before it
        body = {"detail": content[:200].decode(errors="replace")}
    return Answer(http_status=response.status, body=body)


def curl_of(base_url: str, sample: SampleCallback, folder: Path) -> str:
    """Return the curl command that sends *sample*; a body that is no line of text goes into a file in *folder*."""
    text = sample.body.decode("utf-8", "replace")
    if text.encode() == sample.body and text.isprintable() and not text.startswith("@"):
        data = text
    else:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{sample.path.strip('/').replace('/', '-')}-{sample.event_name}-{sample.fax_id}.bin"
        path.write_bytes(sample.body)
        data = f"@{os.path.relpath(path) if path.is_relative_to(Path.cwd()) else path}"
    words = ["curl", "-sS", base_url.rstrip("/") + sample.target]
    for name, value in sample.headers.items():
        words += ["-H", f"{name}: {value}"]
    return shlex.join([*words, "--data-binary", data])


def read_env_file(path: Path) -> dict[str, str]:
    """Read `KEY=value` lines as a shell does: quotes, `export`, comments and empty lines are understood.

    Raises:
        BadSetting: It cannot be read, or a line is none; the sentence shows no value.
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
                raise BadSetting(f"{path} line {number} is no KEY=value")
            yield name, value
