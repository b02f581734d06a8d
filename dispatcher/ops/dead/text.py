"""What `faxhook dead` prints for people."""

from datetime import datetime
from typing import Any, Final

import msgspec
from rich.table import Table

from dispatcher.ops.dead.jobs.bodies import Job, ReplayPreview, What
from dispatcher.ops.dead.jobs.planner import skipped_of
from dispatcher.ops.dead.letters import DeadGroup, DeadLetter, DeadLetterDetail
from dispatcher.ops.documents.content import is_key
from dispatcher.ops.terminal import console
from dispatcher.ops.words import clock
from shared.domain import utc_now

SHOWN_ENDPOINTS: Final = 8


def verb(what: What) -> str:
    """Return the word for what is done."""
    return what.partition(".")[2]


def print_groups(groups: list[DeadGroup]) -> None:
    """Show groups, with what to do."""
    if not groups:
        console.print("no dead letters")
        return
    table = Table(show_lines=False)
    table.add_column("count", justify="right", min_width=5)
    table.add_column("cause", no_wrap=True)
    table.add_column("what", overflow="fold")
    table.add_column("endpoints", justify="right", min_width=9)
    table.add_column("died")
    table.add_column("an example", no_wrap=True)
    for group in groups:
        table.add_row(
            str(group.count),
            group.cause,
            f"{group.kind}: {group.title}",
            str(group.endpoints or ""),
            _span(group.oldest, group.newest),
            group.example.id,
        )
    console.print(table)
    for group in groups:
        console.print(f"[bold]{group.cause}:[/bold] {group.hint}", highlight=False)


def print_letters(letters: list[DeadLetter], *, is_cut: bool) -> None:
    """Show letters, a line each."""
    if not letters:
        console.print("no dead letters")
        return
    table = Table()
    for name in ("id", "cause", "event", "died"):
        table.add_column(name, no_wrap=name != "event", overflow="fold")
    for letter in letters:
        what = " ".join(filter(None, (letter.type, letter.event_id))) or letter.provider or ""
        table.add_row(letter.id, f"{letter.kind}: {letter.cause}", what, _ago(letter.died_at))
    console.print(table)
    if is_cut:
        console.print(f"and more: these are the latest {len(letters)}")


def print_detail(detail: DeadLetterDetail) -> None:
    """Show one letter."""
    letter = detail.letter
    console.print(f"[bold]{letter.kind} {letter.id}[/bold]", highlight=False)
    rows = {
        "died of": f"{letter.cause}: {detail.title}",
        "reason": letter.reason,
        "died": f"{_ago(letter.died_at)} ({clock(letter.died_at)})" if letter.died_at else "unknown",
        "event": " ".join(filter(None, (letter.type, letter.event_id))),
        "fax": " ".join(filter(None, (letter.provider, letter.fax_id))),
        "endpoint": _endpoint(detail),
        "what to do": detail.hint,
    }
    for name, value in rows.items():
        if value:
            console.print(f"{name:>10}  {value}", highlight=False, markup=False)
    for attempt in detail.attempts:
        status = f"answered {attempt.http_status}" if attempt.http_status else attempt.error or attempt.outcome
        console.print(
            f"{'attempt':>10}  {attempt.number} at {clock(attempt.started_at)}, {attempt.seconds:.3f} s: "
            f"{status} {attempt.answer[:200]!r}",
            highlight=False,
            markup=False,
        )
    if detail.message is not None:
        console.print(msgspec.json.format(msgspec.json.encode(detail.message), indent=2).decode(), markup=False)
    if letter.kind == "callback" and (key := _body_key(detail.message)) is not None:
        console.print(f"`faxhook document {key}` saves the raw callback", markup=False, highlight=False, soft_wrap=True)


def _body_key(message: Any) -> str | None:
    body = message.get("body") if isinstance(message, dict) else None
    key = body.get("key") if isinstance(body, dict) else None
    return key if isinstance(key, str) and is_key(key) else None


def _endpoint(detail: DeadLetterDetail) -> str:
    if detail.letter.endpoint_id is None:
        return ""
    state = "" if detail.is_endpoint_ready else " (takes no more: disabled or removed)"
    return f"{detail.letter.endpoint_id} {detail.endpoint_url or ''}{state}"


def print_preview(preview: ReplayPreview) -> None:
    """Show what a replay or discard would do."""
    console.print(f"{preview.matched} match; to {verb(preview.what)}: {preview.count}", highlight=False)
    for each in preview.endpoints[:SHOWN_ENDPOINTS]:
        waits = "  (paused)" if each.is_paused else ""
        console.print(f"{each.count:>8}  {each.url}  {each.endpoint_id}{waits}", highlight=False, markup=False)
    if len(preview.endpoints) > SHOWN_ENDPOINTS:
        rest = preview.endpoints[SHOWN_ENDPOINTS:]
        console.print(f"{sum(each.count for each in rest):>8}  to {len(rest)} more endpoints", highlight=False)
    if preview.count_paused and preview.what != "dead.discard":
        console.print(f"{preview.count_paused:>8}  wait until their endpoint is resumed: it is paused", highlight=False)
    for kind, count in preview.kinds.items():
        if kind != "delivery":
            console.print(f"{count:>8}  {kind}{'s' if count > 1 else ''}", highlight=False)
    for count, why in skipped_of(preview):
        console.print(f"{count:>8}  skipped: {why}", highlight=False)


def print_job(job: Job) -> None:
    """Show what a job did."""
    console.print(f"{job.done} of {job.total} {_DONE[job.what]} in {job.seconds:.1f} s (job {job.id})", highlight=False)
    for count, why in skipped_of(job):
        console.print(f"{count:>8}  skipped: {why}", highlight=False)
    if job.failed:
        console.print(f"{job.failed:>8}  stay dead:", highlight=False)
        for failure in job.failures:
            console.print(f"{'':>10}{failure.id}: {failure.reason}", highlight=False, markup=False)
    if job.left:
        console.print(f"{job.left:>8}  left as they were: {job.state}", highlight=False)


_DONE: Final[dict[What, str]] = {
    "dead.replay": "replayed",
    "dead.discard": "discarded",
    "endpoint.recover": "recovered",
    "delivery.resend": "sent again",
}


def _ago(time: datetime | None) -> str:
    if time is None:
        return ""
    seconds = max(0.0, (utc_now() - time).total_seconds())
    for unit, length in (("d", 86_400.0), ("h", 3_600.0), ("m", 60.0)):
        if seconds >= length:
            return f"{seconds / length:.0f}{unit} ago"
    return f"{seconds:.0f}s ago"


def _span(oldest: datetime | None, newest: datetime | None) -> str:
    first, last = _ago(oldest), _ago(newest)
    return first if first == last else f"{first.removesuffix(' ago')} to {last}"
