"""Lanes whose attempts end when a test says so, and a ledger that leases again what was deferred."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from delivering import NotedSettler, new_held

from dispatcher.delivery.lanes import Lanes
from dispatcher.policy.delivery import LeasedDelivery, UnreadableDelivery
from dispatcher.policy.endpoint import Endpoint
from shared.ids import uuid7


class HeldUp:
    """A deliverer whose attempts end when a test says so."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.under_way = 0
        self.most_under_way = 0
        self.may_end = asyncio.Event()
        self.open_circuits: set[UUID] = set()

    def circuit_is_open(self, endpoint_id: UUID) -> bool:
        return endpoint_id in self.open_circuits

    async def deliver(self, delivery: LeasedDelivery, _coming: Iterable[LeasedDelivery] = ()) -> None:
        self.begun.append(int(delivery.event.fax_id))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await self.may_end.wait()
        self.under_way -= 1


def an_endpoint(max_concurrent: int = 1) -> Endpoint:
    return Endpoint(id=uuid7(), url="http://application.example/", max_concurrent=max_concurrent)


class Ledger:
    """Leases again what was deferred, in no particular order, as the ledger does."""

    def __init__(self) -> None:
        self.deferred: dict[UUID, LeasedDelivery] = {}
        self.sizes: list[int] = []

    async def claim(self, wanted: Sequence[tuple[UUID, int]]) -> list[LeasedDelivery | UnreadableDelivery]:
        self.sizes.append(len(wanted))
        await asyncio.sleep(0)  # as long as a statement takes
        found = [self.deferred.pop(delivery_id, None) for delivery_id, _ in sorted(wanted, reverse=True)]
        return [each for each in found if each is not None]


def new_lanes(deliverer: Any, ledger: Ledger | None = None) -> tuple[Lanes, NotedSettler]:
    settler = NotedSettler(new_held())
    return Lanes(deliverer, settler, settler.held, (ledger or Ledger()).claim), settler
