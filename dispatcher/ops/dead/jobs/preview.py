"""What a replay or a discard would do, counted. Pure."""

from uuid import UUID

from dispatcher.ops.dead.jobs.bodies import EndpointCount, ReplayPreview, What
from dispatcher.ops.dead.letters import Kind


class Counts:
    """A preview in the making."""

    def __init__(self) -> None:
        self.fates: dict[str, int] = {}
        self.endpoints: dict[UUID, int] = {}
        self.kinds: dict[str, int] = {}

    def add(self, kind: Kind, endpoint_id: UUID | None, fate: str, count: int) -> None:
        """Add so many letters of the same fate."""
        self.fates[fate] = self.fates.get(fate, 0) + count
        if fate == "waiting":
            self.kinds[kind] = self.kinds.get(kind, 0) + count
            if endpoint_id is not None:
                self.endpoints[endpoint_id] = self.endpoints.get(endpoint_id, 0) + count

    def preview(self, what: What, known: dict[UUID, tuple[str, bool]]) -> ReplayPreview:
        """Return the preview; *known* are URL and readiness of the endpoints."""
        ordered = sorted(self.endpoints.items(), key=lambda pair: (-pair[1], str(pair[0])))
        return ReplayPreview(
            what=what,
            matched=sum(self.fates.values()),
            count=self.fates.get("waiting", 0),
            skipped_told=self.fates.get("told", 0),
            skipped_gone=self.fates.get("gone", 0),
            skipped_taken=self.fates.get("taken", 0),
            skipped_endpoint=self.fates.get("endpoint", 0),
            endpoints=[
                EndpointCount(
                    endpoint_id=endpoint_id,
                    url=known.get(endpoint_id, ("", False))[0],
                    is_ready=known.get(endpoint_id, ("", False))[1],
                    count=count,
                )
                for endpoint_id, count in ordered
            ],
            kinds=self.kinds,
        )
