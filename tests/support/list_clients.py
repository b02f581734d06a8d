"""Clients of the list APIs of our own provider, and what they saw."""

from datetime import timedelta

from list_provider import ListProvider

from dispatcher.configuration.lists import Lists
from dispatcher.egress.client import EgressClient
from dispatcher.lists.apis.by_provider import list_api
from dispatcher.lists.client import ListClient
from dispatcher.lists.pages import Slice, read_pages
from dispatcher.settings import DispatcherSettings
from shared.domain import utc_now
from shared.settings import load

NEEDED = {"AMQP_URL": "amqp://h/", "DATABASE_URL": "postgresql://h/d", "MEDIA_URL": "file:///tmp/x"}
NEEDED["SECRETS_KEY"] = "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s="
EIGHT = 8


class Pauses(list[float]):
    """What was waited for, without waiting."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


def client_of(provider: ListProvider, egress: EgressClient, name: str, pauses: Pauses | None = None) -> ListClient:
    settings: Lists = load(DispatcherSettings, {**NEEDED, **provider.environment})
    (access,) = [each for each in settings.reconciliation().accesses if each.provider == name]
    return ListClient(egress, list_api(access), Pauses() if pauses is None else pauses)


async def seen(client: ListClient, found: list[str] | None = None) -> list[str]:
    """Return the ids of the faxes of two days, in the order in which they were given; they are in *found* at once."""
    found = [] if found is None else found
    part = Slice(utc_now() - timedelta(days=1), utc_now() + timedelta(days=1))
    async for page in read_pages(client, part):
        found += [fax_id for fax_id, _ in page.faxes]
    return found
