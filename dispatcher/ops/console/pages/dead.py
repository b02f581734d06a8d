"""Dead letters: by cause, as a list, one by one; replayed or discarded after a preview, with a progress bar."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from dispatcher.ops.api.lookups import read_id
from dispatcher.ops.console.access.guard import Trouble, Visit
from dispatcher.ops.console.pages.needs import group_path
from dispatcher.ops.console.sources import Sources
from dispatcher.ops.dead.errors import UnknownJob
from dispatcher.ops.dead.jobs.bodies import Job, Selection, What
from dispatcher.ops.dead.letters import KINDS, DeadFilter
from shared.domain import EventType, Provider

MOST_PER_PAGE: Final = 50
MOST_REASON_CHARACTERS: Final = 500
DONE_JOBS_SHOWN: Final = 5

FILTER_FIELDS: Final = ("kind", "endpoint_id", "provider", "cause", "type", "event_id")
DIED: Final[Mapping[str, tuple[str, dict[str, float]]]] = {
    "1h": ("in the last hour", {"younger_than_seconds": 3_600.0}),
    "1d": ("in the last day", {"younger_than_seconds": 86_400.0}),
    "7d": ("in the last week", {"younger_than_seconds": 7 * 86_400.0}),
    "before-1d": ("more than a day ago", {"older_than_seconds": 86_400.0}),
    "before-7d": ("more than a week ago", {"older_than_seconds": 7 * 86_400.0}),
}
"""The ages that can be chosen."""

CHANGES: Final[Mapping[str, What]] = {"replay": "dead.replay", "discard": "dead.discard"}


class DeadPages:
    """The handlers."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._dead = sources.dead

    async def groups(self, visit: Visit) -> web.Response:
        """Show dead letters grouped by cause, and what is being replayed."""
        wanted, chosen = read_filter(visit.request.query)
        groups = (await self._dead.groups(wanted)).items
        return visit.page(
            "dead.html",
            groups=groups,
            count=sum(group.count for group in groups),
            jobs=await self._dead.jobs(DONE_JOBS_SHOWN),
            endpoints=await self._sources.named(group.endpoint_id for group in groups if group.endpoint_id is not None),
            group_path=group_path,
            **_filter_context(chosen),
        )

    async def list(self, visit: Visit) -> web.Response:
        """Show dead letters one by one, the latest first."""
        wanted, chosen = read_filter(visit.request.query)
        page = await self._dead.page(wanted, visit.request.query.get("after"), MOST_PER_PAGE)
        return visit.page(
            "dead_list.html",
            page=page,
            endpoints=await self._sources.named(
                letter.endpoint_id for letter in page.items if letter.endpoint_id is not None
            ),
            is_first="after" not in visit.request.query,
            more=urlencode({**chosen, "after": page.next}) if page.next else None,
            **_filter_context(chosen),
        )

    async def show(self, visit: Visit) -> web.Response:
        """Show one."""
        detail = await self._dead.show(visit.request.match_info["id"])
        message = None if detail.message is None else msgspec.json.format(msgspec.json.encode(detail.message)).decode()
        return visit.page("dead_letter.html", detail=detail, letter=detail.letter, message=message)

    async def preview(self, visit: Visit) -> web.Response:
        """Show what a replay or discard would do; changes nothing."""
        query = visit.request.query
        change = query.get("do", "replay")
        selection, chosen = _selection(query)
        what = _what(change)
        preview = await self._dead.preview(what, selection)
        return visit.page(
            "dead_preview.html", preview=preview, change=change, chosen=chosen, sentence=None, reason="",
            most_reason=MOST_REASON_CHARACTERS,
        )  # fmt: skip

    async def begin(self, visit: Visit) -> web.Response:
        """Begin a replay or discard, and lead to its progress."""
        change = visit.form.get("do", "")
        selection, chosen = _selection(visit.form)
        what = _what(change)
        reason = visit.form.get("reason", "").strip()
        if what == "dead.discard" and not 0 < len(reason) <= MOST_REASON_CHARACTERS:
            return visit.page(
                "dead_preview.html",
                422,
                preview=await self._dead.preview(what, selection),
                change=change,
                chosen=chosen,
                sentence=f"Say why, in at most {MOST_REASON_CHARACTERS} characters: it stays in the audit.",
                reason=reason,
                most_reason=MOST_REASON_CHARACTERS,
            )
        job = await self._dead.begin(
            what, selection, who=visit.session.who, reason=reason if what == "dead.discard" else None
        )
        self._sources.forget()
        return visit.go(f"/dead/jobs/{job.id}")

    async def job(self, visit: Visit) -> web.Response:
        """Show how far a replay or discard is."""
        return visit.page("dead_job.html", job=await self._job(visit))

    async def job_live(self, visit: Visit) -> web.Response:
        """Answer only what changes by itself, for the script."""
        return visit.part("dead_job_live.html", job=await self._job(visit))

    async def _job(self, visit: Visit) -> Job:
        job = await self._dead.job(read_id(visit.request.match_info["id"], "job", UnknownJob))
        if job.finished_at is not None:
            self._sources.forget()
        return job


def read_filter(given: Mapping[str, str]) -> tuple[DeadFilter, dict[str, str]]:
    """Return the filter of a query, and its fields as they were given; empty ones do not narrow.

    Raises:
        Trouble: A value is none that can be filtered by.
    """
    chosen = {name: value.strip() for name in (*FILTER_FIELDS, "died") if (value := given.get(name, "")).strip()}
    fields: dict[str, Any] = {name: value for name, value in chosen.items() if name != "died"}
    died = chosen.get("died")
    if died is not None:
        if died not in DIED:
            raise Trouble(422, "That cannot be filtered by", f"`{died[:40]}` is no age of dead letters.")
        fields |= DIED[died][1]
    try:
        return msgspec.convert(fields, DeadFilter, strict=False), chosen
    except msgspec.ValidationError as error:
        raise Trouble(422, "That cannot be filtered by", _sentence(error)) from None


def _selection(given: Mapping[str, str]) -> tuple[Selection, dict[str, str]]:
    if letter_id := given.get("id"):
        return Selection(ids=(letter_id,)), {"id": letter_id}
    wanted, chosen = read_filter(given)
    return Selection(filter=wanted), chosen


def _what(change: str) -> What:
    what = CHANGES.get(change)
    if what is None:
        raise Trouble(404, "There is no such page", "Dead letters can be replayed or discarded.")
    return what


def _filter_context(chosen: Mapping[str, str]) -> dict[str, Any]:
    return {
        "chosen": chosen,
        "query": urlencode(chosen),
        "kinds": KINDS,
        "providers": list(Provider),
        "types": list(EventType),
        "ages": {key: label for key, (label, _) in DIED.items()},
    }


def _sentence(error: msgspec.ValidationError) -> str:
    reason, _, path = str(error).partition(" - at `$.")
    return f"{path.rstrip('`') or 'The filter'}: {reason}."
