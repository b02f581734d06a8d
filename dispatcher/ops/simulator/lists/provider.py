"""The list APIs of Telnyx, Phaxio and Sinch, as documented, over faxes that are made here.

A fax is listed as its sample callback tells it, so that both make the same event.
"""

import secrets
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from aiohttp import web

from dispatcher.ops.simulator.samples import find, sample_fax

KEY: Final = "simulated"
"""Every part of every key. The server listens on loopback only."""

EVENTS: Final = ("sent-success", "sent-success", "sent-failure", "received")
"""How faxes end, half of them well."""

MOST_PER_PAGE: Final = 1_000
LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)
CALL: Final = timedelta(minutes=1)
"""From a fax's creation to its end, as the samples have it."""


class ProvidedFax(msgspec.Struct, frozen=True, kw_only=True):
    """A fax at the provider: as its list has it, and the document of a received one."""

    provider: str
    event: str
    fax_id: str
    created_at: datetime
    finished_at: datetime
    listed: dict[str, Any]
    document: bytes | None


def make_fax(provider: str, event: str, now: datetime, **fields: Any) -> ProvidedFax:
    """Return a new fax that ends *now*; *fields* are those of `SampleFax`."""
    fax = sample_fax(provider, now, **fields)
    draft = find(provider, event)[1].write(fax)
    created_at = now - CALL
    listed = draft.fields["fax"] if "fax" in draft.fields else _telnyx(draft.fields["data"]["payload"], created_at, now)
    return ProvidedFax(
        provider=provider,
        event=event,
        fax_id=fax.fax_id,
        created_at=created_at,
        finished_at=now,
        listed=listed,
        document=fax.pdf if event == "received" else None,
    )


def _telnyx(payload: Mapping[str, Any], created_at: datetime, updated_at: datetime) -> dict[str, Any]:
    """Return the fax object of Telnyx's list: no pages, no ids of events."""
    kept = {name: payload.get(name) for name in ("connection_id", "direction", "from", "to", "status", "client_state")}
    return {
        "record_type": "fax",
        "id": payload["fax_id"],
        **kept,
        "failure_reason": payload.get("failure_reason"),
        "created_at": _text(created_at),
        "updated_at": _text(updated_at),
    }


def environment(port: int) -> dict[str, str]:
    """Return the variables with which a dispatcher asks this provider."""
    base = f"http://127.0.0.1:{port}"
    keys = ("TELNYX_API_KEY", "PHAXIO_API_KEY", "PHAXIO_API_KEY_SECRET", "SINCH_PROJECT_ID", "SINCH_KEY_ID")
    return {
        **dict.fromkeys((*keys, "SINCH_KEY_SECRET"), KEY),
        "TELNYX_API_URL": f"{base}/v2",
        "PHAXIO_API_URL": f"{base}/v2.1",
        "SINCH_API_URL": f"{base}/v3",
    }


class SimulatedProvider:
    """Answers requests for lists, single faxes and documents. *faxes*: the newest first."""

    def __init__(self) -> None:
        self.faxes: list[ProvidedFax] = []
        self._fresh: dict[str, str] = {}

    def application(self) -> web.Application:
        """Return the server."""
        app = web.Application(middlewares=[_with_key])
        app.router.add_get("/v2/faxes", self._telnyx_list)
        app.router.add_get("/v2/faxes/{id}", self._telnyx_fax)
        app.router.add_post("/v2/faxes/{id}/actions/refresh", self._refresh)
        app.router.add_get("/storage/{token}", self._storage)
        app.router.add_get("/v2.1/faxes", self._phaxio_list)
        app.router.add_get("/v2.1/faxes/{id}/file", self._file)
        app.router.add_get(f"/v3/projects/{KEY}/faxes", self._sinch_list)
        app.router.add_get(f"/v3/projects/{KEY}/faxes/{{id}}/file.pdf", self._file)
        return app

    async def _telnyx_list(self, request: web.Request) -> web.Response:
        query = request.query
        faxes = self._window("telnyx", query.get("filter[created_at][gte]"), query.get("filter[created_at][lte]"))
        number, size = _page(query, "page[number]", "page[size]")
        meta = {"page_number": number, "page_size": size, "total_pages": -(-len(faxes) // size)}
        return web.json_response({"data": _shown(faxes, number, size), "meta": {**meta, "total_results": len(faxes)}})

    async def _phaxio_list(self, request: web.Request) -> web.Response:
        query = request.query
        faxes = self._window("phaxio", query.get("created_after"), query.get("created_before"))
        number, size = _page(query, "page", "per_page")
        paging = {"total": len(faxes), "per_page": size, "page": number}
        answer = {"success": True, "message": "Retrieved faxes", "data": _shown(faxes, number, size), "paging": paging}
        return web.json_response(answer)

    async def _sinch_list(self, request: web.Request) -> web.Response:
        query = request.query
        faxes = self._window("sinch", query.get("createTime>"), query.get("createTime<"))
        number, size = _page(query, "page", "pageSize")
        counts = {"totalItems": len(faxes), "totalPages": -(-len(faxes) // size)}
        return web.json_response({"faxes": _shown(faxes, number, size), "page": number, "pageSize": size, **counts})

    async def _telnyx_fax(self, request: web.Request) -> web.Response:
        fax = self._one(request.match_info["id"])
        token = next((token for token, fax_id in self._fresh.items() if fax_id == fax.fax_id), None)
        media = {} if token is None else {"stored_media_url": str(request.url.origin() / "storage" / token)}
        return web.json_response({"data": {**fax.listed, **media}})

    async def _refresh(self, request: web.Request) -> web.Response:
        fax = self._one(request.match_info["id"])
        if fax.document is not None:
            self._fresh[secrets.token_urlsafe(12)] = fax.fax_id
        return web.json_response({"data": {"result": "ok"}})

    async def _storage(self, request: web.Request) -> web.Response:
        return _document(self._one(self._fresh.get(request.match_info["token"], "")))

    async def _file(self, request: web.Request) -> web.Response:
        return _document(self._one(request.match_info["id"]))

    def _one(self, fax_id: str) -> ProvidedFax:
        for fax in self.faxes:
            if fax.fax_id == fax_id:
                return fax
        raise web.HTTPNotFound

    def _window(self, provider: str, since: str | None, until: str | None) -> list[ProvidedFax]:
        start = LONG_AGO if since is None else datetime.fromisoformat(since)
        end = datetime.now(UTC) if until is None else datetime.fromisoformat(until)
        return [fax for fax in self.faxes if fax.provider == provider and start <= fax.created_at <= end]


@web.middleware
async def _with_key(request: web.Request, handler: Any) -> web.StreamResponse:
    """Refuse what does not bear the key, as the providers do; a stored document's URL is its own key."""
    basic = f"Basic {b64encode(f'{KEY}:{KEY}'.encode()).decode()}"
    if not request.path.startswith("/storage/") and request.headers.get("Authorization") not in {
        f"Bearer {KEY}",
        basic,
    }:
        return web.json_response({"error": f"the key of this provider is `{KEY}`"}, status=401)
    answer: web.StreamResponse = await handler(request)
    return answer


def _page(query: Mapping[str, str], number: str, size: str) -> tuple[int, int]:
    try:
        return max(1, int(query.get(number, "1"))), min(MOST_PER_PAGE, max(1, int(query.get(size, "100"))))
    except ValueError:
        raise web.HTTPBadRequest from None


def _shown(faxes: list[ProvidedFax], number: int, size: int) -> list[dict[str, Any]]:
    return [fax.listed for fax in faxes[(number - 1) * size : number * size]]


def _document(fax: ProvidedFax) -> web.Response:
    if fax.document is None:
        raise web.HTTPNotFound
    return web.Response(body=fax.document, content_type="application/pdf")


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
