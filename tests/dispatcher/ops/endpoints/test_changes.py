"""Changes to endpoints: a repeated command changes once, and what a new endpoint makes owed is owed once."""

from uuid import UUID

import asyncpg
import pytest
from dispatchers import SECRETS_KEY, STORE, an_event
from ledgers import take

from dispatcher.ledger.intake import Intake
from dispatcher.ledger.pool import LedgerAway
from dispatcher.ops.api.lookups import NoSuch
from dispatcher.ops.endpoints.changes import Command, EndpointChanges
from dispatcher.ops.endpoints.model import GivenFields, read_fields
from dispatcher.policy.endpoint import Endpoint
from dispatcher.settings import EndpointSettings
from shared.ids import uuid7
from shared.settings import load

FIELDS = read_fields(
    {"url": "http://127.0.0.1:1/hook", "scope": "fax", "match": {"job_id": "job-1"}, "direction": "sent"}
)


class WatchedIntake(Intake):
    """Keeps which endpoints it was command to owe the past to."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        super().__init__(pool, STORE)
        self.registered: list[Endpoint] = []

    async def owe_registered(self, endpoint: Endpoint) -> int:
        self.registered.append(endpoint)
        return await super().owe_registered(endpoint)


@pytest.fixture
def intake(pool: asyncpg.Pool) -> WatchedIntake:
    return WatchedIntake(pool)


@pytest.fixture
def changes(pool: asyncpg.Pool, intake: WatchedIntake, database_url: str) -> EndpointChanges:
    environment = {
        "AMQP_URL": "amqp://unused/",
        "DATABASE_URL": database_url,
        "SECRETS_KEY": SECRETS_KEY,
        "EGRESS_ALLOW_NETWORKS": "127.0.0.0/8",
    }
    return EndpointChanges(pool, STORE, intake, load(EndpointSettings, environment))


async def test_a_repeated_command_adds_nothing_and_owes_nothing(
    changes: EndpointChanges, intake: WatchedIntake, pool: asyncpg.Pool
) -> None:
    command = Command(who="operator", command_id="once", digest=b"the same")
    _, first = await changes.add(command, FIELDS)
    assert (await changes.add(command, FIELDS))[1]["id"] == first["id"]
    assert [str(endpoint.id) for endpoint in intake.registered] == [first["id"]]
    assert [str(endpoint.id) for endpoint in await STORE.everything(pool)] == [first["id"]]
    assert await pool.fetchval("SELECT count(*) FROM audit") == 1


async def test_an_endpoint_that_does_not_exist_is_neither_changed_nor_audited(
    changes: EndpointChanges, intake: WatchedIntake, pool: asyncpg.Pool
) -> None:
    command = Command(who="operator")
    with pytest.raises(NoSuch):
        await changes.change(command, uuid7(), GivenFields({"enabled": False}))
    with pytest.raises(NoSuch):
        await changes.rotate(command, uuid7(), "add")
    with pytest.raises(NoSuch):
        await changes.remove(command, uuid7())
    assert intake.registered == []
    assert await pool.fetchval("SELECT count(*) FROM audit") == 0


@pytest.mark.parametrize("is_new", [True, False], ids=["added", "changed to that fax"])
async def test_what_was_owed_to_no_endpoint_is_owed_though_the_process_dies_once_the_endpoint_is_written(
    changes: EndpointChanges,
    intake: WatchedIntake,
    pool: asyncpg.Pool,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_new: bool,
) -> None:
    """The client repeats its request, and is told that the endpoint exists: it never asks for more."""
    await take(pool, an_event(1, job_id="job-1"))
    command = Command(who="operator", command_id="once", digest=b"the same")
    other = read_fields({"url": "http://127.0.0.1:1/hook", "scope": "fax", "match": {"job_id": "job-2"}})
    answer = None if is_new else await changes.add(Command(who="operator"), other)

    async def die(_endpoint: Endpoint) -> int:
        raise LedgerAway

    async def register() -> object:
        if answer is None:
            return await changes.add(command, FIELDS)
        return await changes.change(command, UUID(answer[1]["id"]), read_fields({"match": {"job_id": "job-1"}}))

    with monkeypatch.context() as patch:
        patch.setattr(intake, "owe_registered", die)
        with pytest.raises(LedgerAway):
            await register()
    await register()
    rows = await pool.fetch("SELECT event_id, state FROM deliveries")
    assert [tuple(row) for row in rows] == [(an_event(1).id, "pending")]
