"""`faxhook endpoints recover`: what an endpoint was not owed while it was off is owed to it after all."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec
import typer

from dispatcher.ops.api.cursor import AwareTime
from dispatcher.ops.api.lookups import read_id
from dispatcher.ops.dead.commands import DryRun, Rate, Yes, do_job
from dispatcher.ops.dead.jobs.bodies import Selection, Skipped
from dispatcher.ops.dead.jobs.pace import RATE
from dispatcher.ops.dead.options import seconds_of
from dispatcher.ops.endpoints.care_commands import app
from dispatcher.ops.endpoints.options import Id
from dispatcher.ops.terminal import Json, fail
from shared.errors import EXIT_BAD_INPUT, FaxhookError

__all__ = ["app"]  # with every command of `faxhook endpoints`: those of this module, too

_TIMES: Final = "an age like 90s, 30m, 6h, 2d, or a time with its zone like 2026-10-03T08:00:00Z"


@app.command(name="recover")
def recover_endpoint(
    endpoint_id: Id,
    since: Annotated[str, typer.Option(help=f"From when on: {_TIMES}.")],
    until: Annotated[str | None, typer.Option(help="Before when, in the same notation; else until now.")] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    rate: Rate = RATE,
    as_json: Json = False,
) -> None:
    """Owe an endpoint what it was not owed while it was disabled, or after it had answered 410.

    Enable it first. Shows first what it would do, and asks. If it is killed in the middle, a dispatcher goes on with
    it. Ends with 1 if some stay skipped.
    """
    try:
        known_id = read_id(endpoint_id, "endpoint")
    except FaxhookError as error:
        fail(str(error), error.exit_code)
    now = datetime.now(UTC)
    skipped = Skipped(
        endpoint_id=known_id,
        since=_moment("--since", since, now),
        until=None if until is None else _moment("--until", until, now),
    )
    selection = Selection(skipped=skipped)
    do_job("endpoint.recover", selection, None, yes=yes, dry_run=dry_run, rate=rate, as_json=as_json)


def _moment(option: str, text: str, now: datetime) -> datetime:
    """Return the time that an age or a time is; end with a sentence if it is neither."""
    if text[-1:] in {"s", "m", "h", "d"}:
        try:
            return now - timedelta(seconds=seconds_of(option, text) or 0.0)
        except OverflowError:
            return datetime(1970, 1, 1, tzinfo=UTC)
    try:
        return msgspec.convert(text, type=AwareTime)
    except msgspec.ValidationError:
        fail(f"{option} wants {_TIMES}; not `{text}`", EXIT_BAD_INPUT)
