"""A provider of ours, which gives its faxes as the list APIs of Telnyx, Phaxio and Sinch do.

It behaves as the real ones are documented: windows by creation, pages that shift, keys, documents. A test makes faxes,
and says what goes wrong by `disturb`.
"""

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web
from provider_fax import SINCH_PROJECT, ProviderFax

from shared.domain import utc_now

TELNYX_KEY = "telnyx-key-9d2"
PHAXIO_KEY, PHAXIO_SECRET = "phaxio-key-9d2", "phaxio-secret-9d2"
SINCH_KEY, SINCH_SECRET = "sinch-key-9d2", "sinch-secret-9d2"
SECRETS = (TELNYX_KEY, PHAXIO_KEY, PHAXIO_SECRET, SINCH_KEY, SINCH_SECRET)

Disturbance = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


class ListProvider:
    """Three providers' APIs at one address.

    Attributes:
        faxes: Newest first, as lists give them.
        disturb: Answers a request instead, if it returns an answer; may change the faxes as well.
        asked: Method and path of each request.
        clock_ahead: Of the provider's clock, of ours.
        most_per_page: Larger pages are cut.
    """

    def __init__(self) -> None:
        self.faxes: list[ProviderFax] = []
        self.disturb: Disturbance | None = None
        self.asked: list[str] = []
        self.clock_ahead = timedelta(0)
        self.most_per_page = 1_000
        self.media_is_fresh: set[str] = set()
        self.base_url = ""

    @property
    def environment(self) -> dict[str, str]:
        """Return the settings with which faxhook asks this provider."""
        return {
            "TELNYX_API_KEY": TELNYX_KEY,
            "PHAXIO_API_KEY": PHAXIO_KEY,
            "PHAXIO_API_KEY_SECRET": PHAXIO_SECRET,
            "SINCH_PROJECT_ID": SINCH_PROJECT,
            "SINCH_KEY_ID": SINCH_KEY,
            "SINCH_KEY_SECRET": SINCH_SECRET,
            "TELNYX_API_URL": f"{self.base_url}/v2",
            "PHAXIO_API_URL": f"{self.base_url}/v2.1",
            "SINCH_API_URL": f"{self.base_url}/v3",
        }

    def fax(self, provider: str, number: int, ending: str, *, ended_ago: float = 3_600.0, **fields: Any) -> ProviderFax:
        """Add a fax that ended *ended_ago* seconds ago, a minute after it was created."""
        finished_at = utc_now() + self.clock_ahead - timedelta(seconds=ended_ago)
        fax = ProviderFax(
            provider=provider,
            fax_id=str(number) if provider == "phaxio" else f"{provider}-{number}",
            ending=ending,
            created_at=finished_at - timedelta(minutes=1),
            finished_at=None if ending == "under way" else finished_at,
            **fields,
        )
        self.faxes.insert(0, fax)
        return fax

    # ---- requests

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path}")
        answer = None if self.disturb is None else await self.disturb(request)
        if answer is None:
            answer = await self._answer(request)
        at = datetime.now(UTC) + self.clock_ahead
        answer.headers["Date"] = at.strftime("%a, %d %b %Y %H:%M:%S GMT")
        return answer

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        match request.path.strip("/").split("/"):
            case ["storage", fax_id]:
                return self._storage(request, fax_id)
            case ["v2", "faxes", *rest]:
                return self._telnyx(request, rest)
            case ["v2.1", "faxes", *rest]:
                return self._phaxio(request, rest)
            case ["v3", "projects", project, "faxes", *rest] if project == SINCH_PROJECT:
                return self._sinch(request, rest)
        return web.Response(status=404, text="<html>Not found</html>", content_type="text/html")

    def _storage(self, request: web.Request, fax_id: str) -> web.Response:
        assert "Authorization" not in request.headers, "a key is for its own provider only"
        fax = self._one("telnyx", fax_id)
        if fax is None or fax.document is None or fax_id not in self.media_is_fresh:
            return web.Response(status=403, text="<Error>expired</Error>")
        return web.Response(body=fax.document, content_type="application/pdf")

    def _telnyx(self, request: web.Request, rest: list[str]) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {TELNYX_KEY}":
            return web.json_response({"errors": [{"code": "10009", "title": "Authentication failed"}]}, status=401)
        if rest:
            fax = self._one("telnyx", rest[0])
            if fax is None:
                return web.json_response({"errors": [{"code": "10005"}]}, status=404)
            if rest[1:] == ["actions", "refresh"]:
                assert request.method == "POST"
                self.media_is_fresh.add(fax.fax_id)
                return web.json_response({"data": {"result": "ok"}})
            url = {"stored_media_url": f"{self.base_url}/storage/{fax.fax_id}?token=secret"} if fax.document else {}
            return web.json_response({"data": fax.listed() | url})
        query = request.query
        since, until = _at(query.get("filter[created_at][gte]")), _at(query.get("filter[created_at][lte]"))
        number, size = int(query["page[number]"]), min(int(query["page[size]"]), self.most_per_page)
        faxes = self._window("telnyx", since, until)
        meta = {"page_number": number, "page_size": size, "total_pages": -(-len(faxes) // size)}
        shown = faxes[(number - 1) * size : number * size]
        return web.json_response(
            {"data": [fax.listed() for fax in shown], "meta": meta | {"total_results": len(faxes)}}
        )

    def _phaxio(self, request: web.Request, rest: list[str]) -> web.Response:
        if not _is_basic(request, PHAXIO_KEY, PHAXIO_SECRET):
            return web.json_response({"success": False, "message": "Invalid API credentials"}, status=401)
        if len(rest) == 1 and (one := self._one("phaxio", rest[0])) is not None:
            return web.json_response({"success": True, "message": "Retrieved fax", "data": one.listed()})
        if rest:
            return self._file("phaxio", rest, "file")
        query = request.query
        faxes = self._window("phaxio", _at(query.get("created_after")), _at(query.get("created_before")))
        number, size = int(query["page"]), min(int(query["per_page"]), self.most_per_page)
        shown = [fax.listed() for fax in faxes[(number - 1) * size : number * size]]
        paging = {"total": len(faxes), "per_page": size, "page": number}
        return web.json_response({"success": True, "message": "Retrieved faxes", "data": shown, "paging": paging})

    def _sinch(self, request: web.Request, rest: list[str]) -> web.Response:
        if not _is_basic(request, SINCH_KEY, SINCH_SECRET):
            return web.json_response({"error": "unauthorized"}, status=401)
        if len(rest) == 1 and (one := self._one("sinch", rest[0])) is not None:
            return web.json_response(one.listed())
        if rest:
            return self._file("sinch", rest, "file.pdf")
        query = request.query
        since, until = _at(query.get("createTime>")), _at(query.get("createTime<"))
        since = since or utc_now() - timedelta(days=7)  # as documented
        number, size = int(query["page"]), min(int(query["pageSize"]), self.most_per_page)
        faxes = self._window("sinch", since, until)
        shown = [fax.listed() for fax in faxes[(number - 1) * size : number * size]]
        pages = -(-len(faxes) // size)
        answer = {"faxes": shown, "page": number, "pageSize": size, "totalItems": len(faxes), "totalPages": pages}
        return web.json_response(answer)

    def _file(self, provider: str, rest: list[str], name: str) -> web.Response:
        fax = self._one(provider, rest[0])
        if fax is None or fax.document is None or rest[1:] != [name]:
            return web.json_response({"success": False, "message": "Not found"}, status=404)
        return web.Response(body=fax.document, content_type="application/pdf")

    def _one(self, provider: str, fax_id: str) -> ProviderFax | None:
        return next((fax for fax in self.faxes if (fax.provider, fax.fax_id) == (provider, fax_id)), None)

    def _window(self, provider: str, since: datetime | None, until: datetime | None) -> list[ProviderFax]:
        return [
            fax
            for fax in self.faxes
            if fax.provider == provider
            and (since is None or fax.created_at >= since)
            and (until is None or fax.created_at <= until)
        ]


def _at(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _is_basic(request: web.Request, user: str, password: str) -> bool:
    made = base64.b64encode(f"{user}:{password}".encode()).decode()
    return request.headers.get("Authorization") == f"Basic {made}"


def html(status: int = 200) -> web.Response:
    """Return what a captive portal or a maintenance page answers."""
    return web.Response(status=status, text="<!doctype html><h1>Maintenance</h1>", content_type="text/html")


@asynccontextmanager
async def providing() -> AsyncIterator[ListProvider]:
    """Run a provider on a free loopback port."""
    provider = ListProvider()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", provider.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    provider.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield provider
    finally:
        await runner.cleanup()
