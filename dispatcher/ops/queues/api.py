"""`/v1/queues`: the queues now."""

from collections.abc import Sequence

from aiohttp import web

from dispatcher.ops.api.http import answered
from dispatcher.ops.api.operation import Operation
from dispatcher.ops.queues.bodies import Queues
from dispatcher.ops.queues.history import QueueHistory


class QueueApi:
    """The handler."""

    def __init__(self, history: QueueHistory) -> None:
        self._history = history

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        return (
            Operation(
                "GET",
                "/v1/queues",
                self.list,
                "Every queue: depth, consumers, rates, the oldest message, what is due next",
                answer=Queues,
            ),
        )

    async def list(self, _request: web.Request) -> web.Response:
        """Answer every queue. A broker that is away is said in `troubles`: the ledger's part is still worth seeing."""
        return answered(200, await self._history.now())
