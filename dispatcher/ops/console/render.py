"""Renders templates as pages and serves the files beside them (style, script, icon). All are read at the start."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dispatcher.ops.console import words

HERE: Final = Path(__file__).parent
ASSET_TYPES: Final = {"console.css": "text/css", "console.js": "text/javascript", "icon.svg": "image/svg+xml"}
ASSETS_PATH: Final = "/console-assets"

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`: browsers then send `Origin: null` with a form, and nothing says any more where it came from.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
"""Of every page: nothing inline, nothing from other sites, nothing in the browser's cache."""


class Renderer:
    """Templates and assets, in memory."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._assets = {name: (HERE / "static" / name).read_bytes() for name in ASSET_TYPES}
        self._versions = {name: hashlib.sha256(body).hexdigest()[:12] for name, body in self._assets.items()}
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters |= {**words.FILTERS, "ago": lambda at: words.ago(at, now())}
        self._environment.globals |= {"asset": self._asset_url, "zip": zip}
        self._environment.globals["m"] = self._environment.get_template("macros.html").module

    def page(self, template: str, context: Mapping[str, Any], status: int = 200) -> web.Response:
        """Return *template* as a page with the headers of all pages."""
        return web.Response(
            status=status,
            text=self._environment.get_template(template).render(context),
            content_type="text/html",
            headers=HEADERS,
        )

    def with_cookies_of(self, other: web.Response, template: str, context: Mapping[str, Any]) -> web.Response:
        """Return *template* as a page that sets and deletes the cookies of *other*."""
        response = self.page(template, context)
        response.cookies.update(other.cookies)
        return response

    async def asset(self, request: web.Request) -> web.Response:
        """Answer one of the files; it may be cached for ever, because its address changes with its content."""
        name = request.match_info["name"]
        if name not in self._assets:
            raise web.HTTPNotFound
        is_lasting = request.query.get("v") == self._versions[name]
        caching = "public, max-age=31536000, immutable" if is_lasting else "no-cache"
        return web.Response(
            body=self._assets[name],
            content_type=ASSET_TYPES[name],
            charset="utf-8",
            headers={**HEADERS, "Cache-Control": caching},
        )

    def _asset_url(self, name: str) -> str:
        return f"{ASSETS_PATH}/{name}?v={self._versions[name]}"
