"""Dead letters: groups by cause, a list, single letters; replay and discard with a preview and a progress bar."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from aiohttp import web
from multidict import MultiMapping

from dispatcher.ops.api.lookups import read_id
from dispatcher.ops.console.access.guard import Visit
from dispatcher.ops.console.errors import UNCHANGED, PageError, no_such_page
from dispatcher.ops.console.pages.filters import chosen_of, filter_of, refusing_filters
from dispatcher.ops.console.sources import Sources
from dispatcher.ops.dead.errors import BadSuccessor, EndpointOff, NothingToSend, UnknownJob
from dispatcher.ops.dead.jobs.bodies import Job, Selection, What
from dispatcher.ops.dead.letters import KINDS, DeadFilter
from shared.domain import EventType, Provider
from shared.ids import parse_uuid
from shared.sentences.bad_values import unknown

MOST_PER_PAGE: Final = 50
MOST_REASON_CHARACTERS: Final = 500
DONE_JOBS_SHOWN: Final = 5

FILTER_FIELDS: Final = (
    "kind", "endpoint_id", "provider", "cause", "type", "event_id", "number", "job_id", "fax_id", "since", "until",
)  # fmt: skip
DIED: Final[Mapping[str, tuple[str, dict[str, float]]]] = {
    "1h": ("in the last hour", {"younger_than_seconds": 3_600.0}),
    "1d": ("in the last day", {"younger_than_seconds": 86_400.0}),
    "7d": ("in the last week", {"younger_than_seconds": 7 * 86_400.0}),
    "before-1d": ("older than a day", {"older_than_seconds": 86_400.0}),
    "before-7d": ("older than a week", {"older_than_seconds": 7 * 86_400.0}),
}
"""Choices of the field *Died*: a label, and fields of the filter."""

FILTER_NAMES: Final = (*FILTER_FIELDS, "died")

CHANGES: Final[Mapping[str, What]] = {"replay": "dead.replay", "discard": "dead.discard"}


class DeadPages:
    """The handlers."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._dead = sources.dead

    async def groups(self, visit: Visit) -> web.Response:
        """Show dead letters grouped by cause, and what is being replayed."""
        wanted, chosen = read_filter(visit.request.query)
        with refusing_filters():
            groups = (await self._dead.groups(wanted)).items
        return visit.page(
            "dead.html",
            groups=groups,
            count=sum(group.count for group in groups),
            jobs=await self._dead.jobs.latest(DONE_JOBS_SHOWN),
            endpoints=await self._sources.named(group.endpoint_id for group in groups),
            **_filter_context(chosen),
        )

    async def list(self, visit: Visit) -> web.Response:
        """Show dead letters one by one, the latest first."""
        wanted, chosen = read_filter(visit.request.query)
        with refusing_filters():
            page = await self._dead.page(wanted, visit.request.query.get("after"), MOST_PER_PAGE)
        return visit.page(
            "dead_list.html",
            page=page,
            asked=msgspec.to_builtins(wanted),
            endpoints=await self._sources.named(letter.endpoint_id for letter in page.items),
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
        return await self._preview(visit, visit.request.query)

    async def begin(self, visit: Visit) -> web.Response:
        """Begin a replay or discard, and lead to its progress."""
        what = _what(visit.form.get("do", ""))
        selection, _ = _selection(visit.form)
        selection = msgspec.structs.replace(selection, to=_successor(visit.form, what))
        reason = visit.form.get("reason", "").strip() if what == "dead.discard" else None
        if reason is not None and not 0 < len(reason) <= MOST_REASON_CHARACTERS:
            wrong = f"Enter a reason of at most {MOST_REASON_CHARACTERS} characters: the audit keeps it."
            return await self._preview(visit, visit.form, wrong)
        try:
            job = await self._dead.jobs.begin(what, selection, who=visit.session.who, reason=reason)
        except (BadSuccessor, EndpointOff, NothingToSend) as why:
            return await self._preview(visit, visit.form, str(why))
        self._sources.forget()
        return visit.go(f"/dead/jobs/{job.id}")

    async def _preview(self, visit: Visit, given: Mapping[str, str], wrong: str | None = None) -> web.Response:
        change = given.get("do", "replay")
        what = _what(change)
        selection, chosen = _selection(given)
        try:
            to = _successor(given, what)
            preview = await self._dead.planner.preview(what, msgspec.structs.replace(selection, to=to))
        except BadSuccessor as why:
            wrong, to = str(why), None
            preview = await self._dead.planner.preview(what, selection)
        return visit.page(
            "dead_preview.html",
            200 if wrong is None else 422,
            preview=preview,
            change=change,
            chosen=chosen,
            successor=None if to is None else (await self._sources.named([to]))[to],
            in_use=await self._sources.general() if preview.skipped_endpoint or to else [],
            sentence=wrong,
            reason=given.get("reason", "").strip(),
            most_reason=MOST_REASON_CHARACTERS,
        )

    async def job(self, visit: Visit) -> web.Response:
        """Show how far a replay or discard is."""
        return visit.page("dead_job.html", job=await self._job(visit))

    async def job_live(self, visit: Visit) -> web.Response:
        """Answer only what changes by itself, for the script."""
        return visit.part("dead_job_live.html", job=await self._job(visit))

    async def _job(self, visit: Visit) -> Job:
        job = await self._dead.jobs.get(read_id(visit.request.match_info["id"], "job", UnknownJob))
        if job.finished_at is not None:
            self._sources.forget()
        return job


def read_filter(given: Mapping[str, str]) -> tuple[DeadFilter, dict[str, str]]:
    """Return the filter of a query, and its fields as they were given.

    Raises:
        PageError: A value is not valid.
    """
    chosen = chosen_of(given, FILTER_NAMES)
    fields: dict[str, Any] = {name: value for name, value in chosen.items() if name != "died"}
    died = chosen.get("died")
    if died is not None:
        if died not in DIED:
            raise PageError(422, "Invalid filter", f"died: {unknown(died, DIED)}.")
        fields |= DIED[died][1]
    return filter_of(fields, DeadFilter), chosen


def _selection(given: Mapping[str, str]) -> tuple[Selection, dict[str, str]]:
    if ids := ids_of(given):
        return Selection(ids=ids), {"id": ",".join(ids)}
    if "selected" in given:  # and no row is ticked: that must not mean all
        raise nothing_selected()
    wanted, chosen = read_filter(given)
    if not chosen and not given.get("all"):
        raise PageError(422, UNCHANGED, "Nothing was selected: use a filter, or the button for all dead letters.")
    return Selection(filter=wanted), chosen or {"all": "true"}


def nothing_selected() -> PageError:
    """Return the error of a form in which no row is ticked."""
    return PageError(422, "Nothing is selected", "Go back, and tick at least one row.")


def ids_of(given: Mapping[str, str]) -> tuple[str, ...]:
    """Return the ids in the fields `id`: a form has one for each row that is ticked, or one with commas."""
    named = given.getall("id", []) if isinstance(given, MultiMapping) else [given.get("id", "")]
    return tuple(sorted({part.strip() for each in named for part in each.split(",") if part.strip()}))


def _what(change: str) -> What:
    if change not in CHANGES:
        raise no_such_page("Dead letters can be replayed or discarded.")
    return CHANGES[change]


def _successor(given: Mapping[str, str], what: What) -> UUID | None:
    """Return the endpoint that a form names as successor; None if it names none.

    Raises:
        BadSuccessor: It is no id of an endpoint.
        PageError: A discard has none.
    """
    text = given.get("to", "").strip()
    if not text:
        return None
    if what == "dead.discard":
        raise PageError(422, UNCHANGED, "What is discarded has no successor.")
    found = parse_uuid(text)
    if found is None:
        raise BadSuccessor(f"`{text[:60]}` is not an endpoint's id")
    return found


def _filter_context(chosen: Mapping[str, str]) -> dict[str, Any]:
    return {
        "chosen": chosen,
        "query": urlencode(chosen),
        "kinds": KINDS,
        "providers": list(Provider),
        "types": list(EventType),
        "ages": {key: label for key, (label, _) in DIED.items()},
    }
