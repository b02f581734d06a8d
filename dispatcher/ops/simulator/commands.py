"""`faxhook simulate`: one sample callback, or the whole life of a fax, in order or shuffled.

| asked for | sent |
|---|---|
| `PROVIDER EVENT` | that one callback |
| `PROVIDER [EVENT] --life` | everything until that ending (`sent-success`, or `received`), in order |
| `--count N` | the same for N faxes |
| `--repeat N` | each callback N times, byte for byte: the provider's own repetitions |
| `--shuffle` | all of it in the order of `--seed` |
"""

import asyncio
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import aiohttp
import msgspec
import typer

from dispatcher.ops.contradictions import refuse_contradictions
from dispatcher.ops.endpoints.urls import BadEndpoint, checked_web_url
from dispatcher.ops.simulator.fields import BadChange, Change, parse_change, paths_of
from dispatcher.ops.simulator.lives import ENDINGS, life_of, repeat_and_shuffle
from dispatcher.ops.simulator.samples import (
    FROM_NUMBER,
    SAMPLES,
    TO_NUMBER,
    SampleCallback,
    UnknownSample,
    find,
    make_sample,
    sample_fax,
    samples_of,
)
from dispatcher.ops.simulator.sending import curl_of, reason_of, send_all
from dispatcher.ops.simulator.settings import VARIABLES, SimulateSettings, read_env_file
from dispatcher.ops.simulator.signing import MissingSecret
from dispatcher.ops.terminal import fail
from shared.domain import utc_now
from shared.errors import EXIT_AWAY, EXIT_BAD_INPUT, EXIT_BAD_SETTING, FaxhookError
from shared.settings import BadSetting, describe, load

CURL_FOLDER: Final = Path(".local") / "simulated"
EXIT_NOT_ACCEPTED: Final = 1


class BadRequest(FaxhookError):
    """What was asked for cannot be sent, and nothing was sent."""

    code = "bad_request"


_SENDING: Final = (
    *("to", "fax_id", "number", "from_number", "to_number", "pages", "job_id", "changes", "unset", "file", "life"),
    *("count", "repeat", "shuffle", "seed", "every", "env", "secret", "as_curl"),
)
CONTRADICTIONS: Final = (
    *(("as_list", name, "--list sends nothing") for name in _SENDING),
    ("as_curl", "as_json", "--print-curl gets no answer to print as JSON"),
    ("as_curl", "every", "--print-curl sends nothing"),
)
NEEDS: Final = {"seed": "shuffle"}


def simulate_command(
    context: typer.Context,
    provider: Annotated[str | None, typer.Argument(help=", ".join(SAMPLES), show_default=False)] = None,
    event: Annotated[
        str | None,
        typer.Argument(
            help="sent-success, received, …, or the provider's own name; --list shows all.", show_default=False
        ),
    ] = None,
    to: Annotated[
        str | None, typer.Option(help="URL of the ingress. Default: http://INGRESS_HOST:INGRESS_PORT, 127.0.0.1:8080.")
    ] = None,
    fax_id: Annotated[
        str | None, typer.Option(help="The same id and event again is a repetition. Default: a new id for each fax.")
    ] = None,
    number: Annotated[
        str | None, typer.Option(help="Our number: the recipient of a received fax, the sender of a sent fax.")
    ] = None,
    from_number: Annotated[str | None, typer.Option("--from", "--from-number", help=f"Default: {FROM_NUMBER}.")] = None,
    to_number: Annotated[str | None, typer.Option(help=f"Default: {TO_NUMBER}.")] = None,
    pages: Annotated[int, typer.Option(min=1, max=1000, help="Pages of the fax.")] = 2,
    job_id: Annotated[str | None, typer.Option(help="Is put into the query of a sent fax's callbacks.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="Change the field with this path; PROVIDER EVENT --list shows the paths. Repeatable.",
        ),
    ] = None,
    unset: Annotated[
        list[str] | None, typer.Option("--unset", metavar="FIELD", help="Remove a field. Repeatable.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="The document to send, if the provider sends one. Default: the sample's.")
    ] = None,
    life: Annotated[
        bool, typer.Option("--life", help="Send all events of a fax up to EVENT, which must be an ending.")
    ] = False,
    count: Annotated[int, typer.Option(min=1, help="Number of faxes.")] = 1,
    repeat: Annotated[int, typer.Option(min=1, help="How many times each callback is sent.")] = 1,
    shuffle: Annotated[bool, typer.Option("--shuffle", help="Send the callbacks in random order.")] = False,
    seed: Annotated[
        int | None, typer.Option(help="The same seed is the same order. Default: a new one, which is printed.")
    ] = None,
    every: Annotated[float, typer.Option(min=0.0, help="Seconds between two callbacks.")] = 0.0,
    env: Annotated[Path | None, typer.Option(help="File of KEY=value lines; they override the environment.")] = None,
    secret: Annotated[
        list[str] | None,
        typer.Option(
            "--secret", metavar="VARIABLE=VALUE", help="Overrides both; other users of this machine can see it."
        ),
    ] = None,
    as_list: Annotated[
        bool, typer.Option("--list", help="Send nothing; list the events, or the fields of one event.")
    ] = False,
    as_curl: Annotated[
        bool, typer.Option("--print-curl", "--curl", help="Send nothing; print curl commands that send the callbacks.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON line for each callback.")] = False,
) -> None:
    """Send sample callbacks to the ingress, signed as their provider signs.

    Exit code 1: some were not answered 200; 78: the provider's secret is not set.
    """
    refuse_contradictions(context, CONTRADICTIONS, NEEDS)
    try:
        if as_list:
            _print_list(provider, event, as_json)
            return
        if provider is None or (event is None and not (life and provider in ENDINGS)):
            raise BadRequest(_what_is_missing(provider))  # noqa: TRY301 - one place turns bad input into a sentence
        loaded = load(SimulateSettings, {**os.environ, **(read_env_file(env) if env else {}), **_variables(secret)})
        base_url = checked_web_url("--to", to or f"http://{loaded.ingress_host}:{loaded.ingress_port}")
        options = {
            "fax_id": fax_id,
            "pages": pages,
            "job_id": _job_id(provider, event or ENDINGS[provider], job_id),
            "document": _document(file),
            **_numbers(provider, event or ENDINGS[provider], number, from_number, to_number),
        }
        asked = _asked(changes or (), unset or ())
        samples = [
            sample
            for _ in range(count)
            for sample in _samples(loaded, base_url, provider, event or ENDINGS[provider], life, asked, options)
        ]
    except MissingSecret as error:
        fail(
            f"{error}: set {VARIABLES[provider or '']}, or name a file that does: --env FILE, or --secret NAME=VALUE",
            EXIT_BAD_SETTING,
        )
    except BadSetting as error:
        fail(str(error), EXIT_BAD_SETTING)
    except (UnknownSample, BadEndpoint, BadChange, BadRequest) as error:
        fail(str(error), EXIT_BAD_INPUT)
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    samples = repeat_and_shuffle(samples, repeat=repeat, shuffle=shuffle, seed=seed)
    _warn_of_added_fields(provider, samples)
    if as_curl:
        _print_curl(base_url, samples)
        return
    try:
        accepted = asyncio.run(send_all(base_url, provider, samples, every, as_json))
    except (aiohttp.ClientError, OSError) as error:
        fail(f"nothing answers at {base_url} ({reason_of(error)}). Does the ingress run there?", EXIT_AWAY)
    if len(samples) > 1 and not as_json:
        faxes = len({sample.fax_id for sample in samples})
        order = f", shuffled with --seed {seed}" if shuffle else ""
        print(f"{len(samples)} callbacks about {faxes} fax{'' if faxes == 1 else 'es'}{order}: {accepted} answered 200")
    if accepted < len(samples):
        raise typer.Exit(EXIT_NOT_ACCEPTED)


# ---- Options --------------------------------------------------------------------------------------------------------


def _asked(changes: Sequence[str], unset: Sequence[str]) -> list[Change]:
    asked = [*map(parse_change, changes), *(Change(path, None) for path in unset)]
    if twice := {change.path for change in asked if change.value is not None} & set(unset):
        raise BadRequest(f"--set and --unset contradict each other: {', '.join(sorted(twice))}")
    return asked


def _job_id(provider: str, event: str, job_id: str | None) -> str | None:
    if job_id is not None and find(provider, event)[0].startswith("receiv"):
        raise BadRequest("--job-id and a received fax contradict each other: only sent faxes have a job_id")
    return job_id


def _samples(
    settings: SimulateSettings,
    base_url: str,
    provider: str,
    event: str,
    life: bool,
    asked: Sequence[Change],
    options: Mapping[str, Any],
) -> list[SampleCallback]:
    if not life:
        return [make_sample(settings, base_url, provider, event, changes=asked, **options)]
    now = utc_now().replace(microsecond=0)
    samples: list[SampleCallback] = []
    for step in life_of(provider, event, pages=options["pages"], ends_at=now):
        fax_id = options["fax_id"] or (samples[0].fax_id if samples else None)
        of_step = {**options, "fax_id": fax_id, "changes": [*step.changes, *asked], "occurred_at": step.occurred_at}
        # Only the ending of a life carries a document.
        of_step["document"] = options["document"] if step.occurred_at == now else None
        samples.append(make_sample(settings, base_url, provider, step.event, **of_step))
    return samples


def _what_is_missing(provider: str | None) -> str:
    if provider is None:
        return f"PROVIDER and EVENT are missing; providers are {', '.join(SAMPLES)}. --list shows their events"
    return f"EVENT is missing; {provider} has {', '.join(samples_of(provider))}"


def _numbers(
    provider: str, event: str, number: str | None, from_number: str | None, to_number: str | None
) -> dict[str, str]:
    ours = (
        "to_number" if find(provider, event)[0].startswith(("receiv", "media-processing", "unknown")) else "from_number"
    )
    given = {"from_number": from_number, "to_number": to_number}
    if number is not None:
        if given[ours] is not None:
            other = "--from" if ours == "from_number" else "--to-number"
            raise BadRequest(f"--number and {other} contradict each other: both are our number here")
        given[ours] = number
    return {name: value for name, value in given.items() if value is not None}


def _document(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadRequest(f"--file {path} cannot be read: {error.strerror or error}") from error


def _variables(assignments: Sequence[str] | None) -> dict[str, str]:
    known = [name for name, _, _ in describe(SimulateSettings)]
    found = {}
    for assignment in assignments or ():
        name, equals, value = assignment.partition("=")
        if not equals or name not in known:
            raise BadRequest(f"--secret wants VARIABLE=VALUE, VARIABLE being one of {', '.join(known)}")
        found[name] = value
        found[f"{name}_FILE"] = ""
    return found


# ---- Output ---------------------------------------------------------------------------------------------------------


def _warn_of_added_fields(provider: str, samples: Sequence[SampleCallback]) -> None:
    added = sorted({path for sample in samples for path in sample.added})
    if added:
        sys.stderr.write(
            f"faxhook: {provider}'s sample had no {', '.join(added)}; they were added. "
            f"`faxhook simulate {provider} {samples[0].event_name} --list` shows its fields\n"
        )


def _print_curl(base_url: str, samples: Sequence[SampleCallback]) -> None:
    try:
        for sample in samples:
            print(curl_of(base_url, sample, CURL_FOLDER))
    except OSError as error:
        fail(f"the body cannot be written: {error}", EXIT_AWAY)
    if samples[0].path == "/telnyx-webhook":
        sys.stderr.write("Telnyx signs the time: the command works for 5 minutes.\n")


def _print_list(provider: str | None, event: str | None, as_json: bool) -> None:
    if provider is not None and event is not None:
        _, sample = find(provider, event)
        draft = sample.write(sample_fax(provider, utc_now() - timedelta(seconds=1)))
        for path, value in paths_of(draft.fields):
            shown = msgspec.json.encode({"field": path, "value": value} if as_json else value).decode()
            print(shown if as_json else f"{path:<40} {shown}")
        return
    for each in [provider] if provider else SAMPLES:
        for name, sample in samples_of(each).items():
            line = {"provider": each, "event": name, "type": sample.type, "own_name": sample.own_name or None}
            text = f"{each:<9} {name:<22} {sample.type:<24} {sample.own_name}"
            print(msgspec.json.encode(line).decode() if as_json else text)
