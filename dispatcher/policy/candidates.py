"""The endpoints that could apply to the events of a batch, found by what they match. Pure."""

from collections.abc import Iterable

from dispatcher.policy.endpoint import Endpoint, FaxMatch
from shared.domain import Event


class Candidates:
    """Endpoints by their match: a batch of events has many of both, and not every pair is tried."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._of_all: list[Endpoint] = []
        self._of_match: dict[str | FaxMatch, list[Endpoint]] = {}
        for endpoint in endpoints:
            if endpoint.match is None:
                self._of_all.append(endpoint)
            else:
                self._of_match.setdefault(endpoint.match, []).append(endpoint)

    def of_fax(self, event: Event) -> list[Endpoint]:
        """Return the endpoints of the fax that *event* is of."""
        found = list(self._of_match.get(FaxMatch(provider=event.provider, fax_id=event.fax_id), ()))
        if event.job_id is not None:
            found += self._of_match.get(FaxMatch(job_id=event.job_id), ())
        return found

    def of(self, event: Event) -> list[Endpoint]:
        """Return the endpoints of the fax, then those of the number, then the global ones."""
        number = () if event.to_number is None else self._of_match.get(event.to_number, ())
        return [*self.of_fax(event), *number, *self._of_all]
