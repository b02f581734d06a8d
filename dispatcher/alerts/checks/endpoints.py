"""Endpoints that have failed for an hour, and those that a 410 switched off."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

from dispatcher.alerts.kinds import Kind
from dispatcher.alerts.matters import open_subjects, raise_matter, resolve_matter
from dispatcher.alerts.words import SEVERAL
from dispatcher.channels.mail.address import address_of
from dispatcher.egress.target import parse_target
from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.policy.endpoint import Endpoint
from shared.domain import utc_now

FAILING_FOR: Final = timedelta(hours=1)

MOST_ONE_BY_ONE: Final = 10
"""More endpoints that fail are one matter: what fails then is our way out, or their common host."""


class Health(Protocol):
    """What is known of one endpoint; see `dispatcher.ops.endpoints.reading.health`."""

    @property
    def verdict(self) -> str:
        """`failing`, `gone`, or another word."""

    @property
    def sentence(self) -> str:
        """The same for people."""

    @property
    def failing_since(self) -> datetime | None:
        """The first failure after the latest attempt that was told."""


class HealthReader(Protocol):
    """Reads the health of endpoints, within bounds."""

    async def of_those_in_trouble(self) -> Mapping[UUID, Health]:
        """Return that of the endpoints that are owed what failed, hold dead letters, or are gone."""

    async def of(self, endpoint_ids: Sequence[UUID]) -> Mapping[UUID, Health]:
        """Return that of these."""


class EndpointCheck:
    """Raises `endpoint_failing` and `endpoint_gone`."""

    every_seconds = 60.0

    def __init__(self, reader: HealthReader, store: EndpointStore) -> None:
        self._reader = reader
        self._store = store

    async def look(self, connection: Any) -> None:
        """Compare what is open with how the endpoints are."""
        opened = {kind: await open_subjects(connection, kind) for kind in (Kind.ENDPOINT_FAILING, Kind.ENDPOINT_GONE)}
        # Not of the busy ones that are well: to read theirs takes the ledger 50 ms, in which live events wait.
        healths = dict(await self._reader.of_those_in_trouble())
        # What is open is looked at by name: an endpoint that is not among those any more need not be well.
        rest = {subject for subjects in opened.values() for subject in subjects} - {str(each) for each in healths}
        healths |= await self._reader.of([UUID(subject) for subject in rest - {SEVERAL}])
        now = utc_now()
        bad = {
            Kind.ENDPOINT_FAILING: [each for each, health in healths.items() if fails_for_long(health, now)],
            Kind.ENDPOINT_GONE: [each for each, health in healths.items() if health.verdict == "gone"],
        }
        for kind, endpoint_ids in bad.items():
            await self._raise(connection, kind, endpoint_ids, healths, opened[kind])

    async def _raise(
        self,
        connection: Any,
        kind: Kind,
        endpoint_ids: Collection[UUID],
        healths: Mapping[UUID, Health],
        opened: Collection[str],
    ) -> None:
        subjects = subjects_of(endpoint_ids, opened)
        one_by_one = [each for each in endpoint_ids if str(each) in subjects]
        names = {endpoint.id: name_of(endpoint) for endpoint in await self._store.of_ids(connection, one_by_one)}
        for endpoint_id in one_by_one:
            what = f"{names.get(endpoint_id, 'an endpoint')}: {healths[endpoint_id].sentence}"
            await raise_matter(connection, kind, str(endpoint_id), what)
        if SEVERAL in subjects:
            done = "have failed for an hour" if kind is Kind.ENDPOINT_FAILING else "were switched off by a 410"
            count = len(endpoint_ids)
            await raise_matter(connection, kind, SEVERAL, f"{count} endpoints {done}", count=count)
        for subject in set(opened) - subjects:
            await resolve_matter(connection, kind, subject)


def fails_for_long(health: Health, now: datetime) -> bool:
    """Has it failed for an hour, with no attempt that was told?"""
    since = health.failing_since
    return health.verdict == "failing" and since is not None and now - since >= FAILING_FOR


def subjects_of(endpoint_ids: Collection[UUID], opened: Collection[str]) -> set[str]:
    """Return the subjects of the matters that are to be open: each endpoint, or one for all of many.

    An endpoint whose matter is open keeps it. One matter for all stays until as few are left as are told one by one.
    """
    every = {str(each) for each in endpoint_ids}
    if len(every) <= MOST_ONE_BY_ONE:
        return every
    return every & set(opened) | {SEVERAL}


def name_of(endpoint: Endpoint) -> str:
    """Return how people know an endpoint: its description, else its host or address."""
    if endpoint.description:
        return endpoint.description
    try:
        return address_of(endpoint.url) if endpoint.url.startswith("mailto:") else parse_target(endpoint.url).authority
    except ValueError:
        return "an endpoint"
