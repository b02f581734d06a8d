"""`/v1/accounts`: of each provider's days, whether anything is missing."""

from collections.abc import Sequence

from aiohttp import web

from dispatcher.ops.accounts.reader import AccountInFull, AccountPage, AccountQuery, AccountReader, DayText
from dispatcher.ops.api.http import answered, read_query
from dispatcher.ops.api.lookups import read_provider
from dispatcher.ops.api.operation import Operation
from shared.domain import Provider


class AccountApi:
    """The handler."""

    def __init__(self, reader: AccountReader) -> None:
        self._reader = reader

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        summary = (
            "Each provider's account of a day: theirs, ours, repaired, missing, delivered, owed, dead; the latest first"
        )
        return (
            Operation("GET", "/v1/accounts", self.list, summary, query=AccountQuery, answer=AccountPage),
            Operation(
                "GET",
                "/v1/accounts/{provider}/{day}",
                self.show,
                "One account, with the faxes that are missing by name",
                parameters={"provider": Provider, "day": DayText},
                answer=AccountInFull,
            ),
        )

    async def list(self, request: web.Request) -> web.Response:
        """Answer a page of the accounts."""
        return answered(200, await self._reader.page(read_query(request, AccountQuery)))

    async def show(self, request: web.Request) -> web.Response:
        """Answer one account."""
        provider = read_provider(request.match_info["provider"])
        return answered(200, await self._reader.account(provider, request.match_info["day"]))
