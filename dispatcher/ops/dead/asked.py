"""What may be asked of the dead letters, by whomever: API, console, command line."""

from typing import Protocol
from uuid import UUID

from dispatcher.ops.dead.jobs.bodies import Job, ReplayPreview, Selection, What
from dispatcher.ops.dead.letters import DeadFilter, DeadGroups, DeadLetterDetail, DeadPage


class DeadLetters(Protocol):
    """What may be asked. *who* is written into the audit: `operator`, `cli`, a console's user.

    Everything raises `TakenByAnother` if somebody holds a dead-letter queue for longer than a moment, and what the
    stores raise when they are away.
    """

    async def page(self, wanted: DeadFilter, after: str | None, most: int) -> DeadPage:
        """Return at most *most* letters, after the cursor; raise `BadSelection` if that is none."""

    async def groups(self, wanted: DeadFilter) -> DeadGroups:
        """Return the letters grouped by kind and cause."""

    async def show(self, letter_id: str) -> DeadLetterDetail:
        """Return one; raise `UnknownLetter`."""

    async def preview(self, what: What, selection: Selection) -> ReplayPreview:
        """Return what it would do now, changing nothing; raise `UnknownLetter`."""

    async def begin(self, what: What, selection: Selection, *, who: str, reason: str | None = None) -> Job:
        """Write down which letters it is about, and begin to work them off in the background.

        What somebody began with the same selection and left is gone on with instead.

        Raises:
            UnknownLetter: An id is none of a dead letter; nothing is changed.
            NothingMatches: Nothing matches the filter.
            TakenByAnother: Another job is at all of them.
        """

    async def wait(self, job_id: UUID, most_seconds: float | None) -> Job:
        """Wait until this process is done with a job, at most so long; return it as it stands then."""

    async def stop(self, job_id: UUID, *, who: str) -> Job:
        """End a job early: what it has not come to stays dead; raise `UnknownJob`."""

    async def job(self, job_id: UUID) -> Job:
        """Return a job; raise `UnknownJob`."""

    async def jobs(self, most: int = 50) -> list[Job]:
        """Return the latest jobs, newest first."""
