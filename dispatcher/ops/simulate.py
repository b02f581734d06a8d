"""`faxhook simulate`: sends a sample callback to the ingress, signed as its provider signs.

The secrets are those of the ingress, from the same variables. Telnyx alone needs one more: the ingress knows only its
public key, so the seed of a pair of your own making is in `TELNYX_SIMULATE_SEED` (`make run` makes one).
"""

import asyncio
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import aiohttp
import msgspec
import typer
from msgspec import Meta
from yarl import URL

from dispatcher.ops.endpoint_input import BadEndpoint, checked_web_url
from dispatcher.ops.exits import EXIT_AWAY, EXIT_BAD_INPUT, fail
from dispatcher.ops.sample_signing import MissingSecret, SampleSecrets
from dispatcher.ops.samples import FROM_NUMBER, SAMPLES, TO_NUMBER, SampleCallback, UnknownSample, build
from dispatcher.way_out import error_code
from shared.domain import utc_now
from shared.errors import FaxhookError
from shared.settings import EXIT_BAD_SETTING, BadSetting, Secret, Settings, load

TELNYX_SEED: Final = "TELNYX_SIMULATE_SEED"
VARIABLES: Final = {
    "phaxio": "PHAXIO_CALLBACK_TOKEN (or PHAXIO_API_SECRET)",
    "telnyx": TELNYX_SEED,
    "sinch": "SINCH_INBOUND_BASIC_USER and SINCH_INBOUND_BASIC_PASS (or SINCH_INBOUND_HMAC_SECRET)",
    "asterisk": "ASTERISK_INBOUND_SECRET",
}
"""What proves each provider's samples, for people."""

SETTABLE: Final = ("job_id", "client_state", "tiff_path", "media_url")
"""What `--set` knows: parameters of `samples.build` that have no option of their own."""

ANSWER_SECONDS: Final = 10.0
CURL_FOLDER: Final = Path(".local") / "simulated"
EXIT_NOT_ACCEPTED: Final = 1
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


class BadRequest(FaxhookError):
    """What was asked for cannot be sent; nothing was."""

    code = "bad_request"


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


# ---- The command ----------------------------------------------------------------------------------------------------


def simulate_command(
    provider: Annotated[str, typer.Argument(help=", ".join(SAMPLES))],
    event: Annotated[str, typer.Argument(help="sent-success, received, …; anything else lists what there is.")],
    to: Annotated[
        str | None, typer.Option(help="The ingress; default: http://INGRESS_HOST:INGRESS_PORT, 127.0.0.1:8080.")
    ] = None,
    fax_id: Annotated[
        str | None, typer.Option(help="The same id and event again is a repetition; absent: a new id each time.")
    ] = None,
    from_number: Annotated[str, typer.Option("--from")] = FROM_NUMBER,
    to_number: Annotated[str, typer.Option()] = TO_NUMBER,
    pages: Annotated[int, typer.Option(min=1, max=1000)] = 2,
    settings: Annotated[list[str] | None, typer.Option("--set", help=f"FIELD=VALUE of {', '.join(SETTABLE)}.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Send so many.")] = 1,
    env: Annotated[
        Path | None, typer.Option(help="A file with KEY=value lines, which win over the environment.")
    ] = None,
    as_curl: Annotated[bool, typer.Option("--curl", help="Send nothing; print the curl command that would.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON line for each callback.")] = False,
) -> None:
    """Send a sample callback to the ingress, signed as its provider signs. Exit 0 only if it was answered 200."""
    try:
        loaded = load(SimulateSettings, {**os.environ, **(read_env_file(env) if env else {})})
        base_url = checked_web_url("--to", to or f"http://{loaded.ingress_host}:{loaded.ingress_port}")
        options = {
            "fax_id": fax_id,
            "from_number": from_number,
            "to_number": to_number,
            "pages": pages,
            **_fields(settings),
        }
        samples = [make_sample(loaded, base_url, provider, event, **options) for _ in range(count)]
    except MissingSecret as error:
        fail(f"{error}: set {VARIABLES[provider]}, or name a file that does: --env FILE", EXIT_BAD_SETTING)
    except BadSetting as error:
        fail(str(error), EXIT_BAD_SETTING)
    except (UnknownSample, BadEndpoint, BadRequest) as error:
        fail(str(error), EXIT_BAD_INPUT)
    if as_curl:
        _print_curl(base_url, samples)
        return
    try:
        accepted = asyncio.run(_send_all(base_url, provider, samples, as_json))
    except (aiohttp.ClientError, OSError) as error:
        reason = "timeout" if isinstance(error, TimeoutError) else error_code(error)
        fail(f"nothing answers at {base_url} ({reason}). Does the ingress run there?", EXIT_AWAY)
    if accepted < count:
        raise typer.Exit(EXIT_NOT_ACCEPTED)


async def _send_all(base_url: str, provider: str, samples: Sequence[SampleCallback], as_json: bool) -> int:
    accepted = 0
    async with aiohttp.ClientSession() as session:
        for sample in samples:
            answer = await send(session, base_url, sample)
            accepted += answer.http_status == OK
            print(_json_of(provider, sample, answer) if as_json else _text_of(base_url, provider, sample, answer))
    return accepted


def _text_of(base_url: str, provider: str, sample: SampleCallback, answer: Answer) -> str:
    sent = f"sent      {provider} {sample.event_name} of fax {sample.fax_id} to {base_url.rstrip('/')}{sample.target}"
    if answer.http_status == OK:
        return f"{sent}\nanswered  200 {answer.body.get('status')}: {answer.event_id or answer.body.get('callback_id')}"
    hint = {
        401: f" Are {VARIABLES[provider]} and PUBLIC_URL those of the ingress?",
        404: f" Has the ingress what switches {provider} on?",
    }.get(answer.http_status, "")
    code = answer.body.get("error", "")
    return f"{sent}\nanswered  {answer.http_status} {code}: {answer.body.get('detail', '')}.{hint}"


def _json_of(provider: str, sample: SampleCallback, answer: Answer) -> str:
    line = {
        "provider": provider,
        "event": sample.event_name,
        "type": sample.event_type,
        "fax_id": sample.fax_id,
        "target": sample.target,
        "bytes": len(sample.body),
        "http_status": answer.http_status,
        "answer": answer.body,
    }
    return msgspec.json.encode(line).decode()


def _print_curl(base_url: str, samples: Sequence[SampleCallback]) -> None:
    try:
        for sample in samples:
            print(curl_of(base_url, sample, CURL_FOLDER))
    except OSError as error:
        fail(f"the body cannot be written: {error}", EXIT_AWAY)
    if samples[0].path == "/telnyx-webhook":
        sys.stderr.write("Telnyx signs the time: the command is good for 5 minutes.\n")


def _fields(assignments: Sequence[str] | None) -> dict[str, str]:
    fields = {}
    for assignment in assignments or ():
        name, equals, value = assignment.partition("=")
        if not equals or name not in SETTABLE:
            raise BadRequest(f"--set wants FIELD=VALUE, FIELD being one of {', '.join(SETTABLE)}; not `{assignment}`")
        fields[name] = value
    return fields
