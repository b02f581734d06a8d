"""Resends and recoveries as a person begins them, waited for and added up."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from dispatcher.ops.dead.jobs.bodies import Job, Selection, Skipped
from dispatcher.ops.dead.service import DeadLetterService
from dispatcher.policy.endpoint import Endpoint

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


async def done(dead: DeadLetterService, selection: Selection, what: Any = "delivery.resend", who: str = "eve") -> Job:
    """Begin a job and return it when it is done; its counts add up."""
    job = await dead.jobs.begin(what, selection, who=who)
    job = await dead.jobs.wait(job.id, 30.0)
    assert job.state == "done"
    counts = [getattr(job, name) for name in Job.__struct_fields__ if name.startswith("skipped_")]
    assert job.total == job.done + job.failed + sum(counts)
    return job


def ids(*delivery_ids: UUID, overtaken: bool = False) -> Selection:
    """Select these deliveries."""
    return Selection(ids=tuple(sorted(str(each) for each in delivery_ids)), overtaken=overtaken)


def since(endpoint: Endpoint, **fields: Any) -> Selection:
    """Select what *endpoint* missed at any time."""
    return Selection(skipped=Skipped(endpoint_id=endpoint.id, since=LONG_AGO, **fields))
