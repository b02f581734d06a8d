"""A session at the console without a browser: cookies, and forms with their tokens; redirects are not followed."""

import re
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import urlsplit

import aiohttp

OPS_TOKEN = "ops-token-of-the-tests"
READ_TOKEN = "read-token-of-the-tests"
TOKENS = {"OPS_TOKEN": OPS_TOKEN, "OPS_READ_TOKEN": READ_TOKEN}


@dataclass
class Page:
    """An answer."""

    status: int
    text: str
    headers: dict[str, str]
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def location(self) -> str:
        return self.headers.get("Location", "")

    @property
    def said(self) -> str:
        """The text, with what it shows as code between backticks, as sentences of the API have it."""
        return re.sub("</?code>", "`", self.text)

    @property
    def form_token(self) -> str:
        return re.search(r'name="form_token" value="([^"]+)"', self.text)[1]

    def value(self, name: str) -> str:
        """Return the value of a hidden field."""
        return unescape(re.search(rf'name="{name}" value="([^"]*)"', self.text)[1])


class BrowserSession:
    """Requests with the cookies of one browser."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http = http
        self.url = url
        self.form_token = ""

    @property
    def origin(self) -> str:
        return f"http://{urlsplit(self.url).netloc}"

    async def get(self, path: str, **headers: str) -> Page:
        async with self.http.get(self.url + path, allow_redirects=False, headers=headers) as response:
            page = await self._page(response)
        if 'name="form_token"' in page.text:
            self.form_token = page.form_token
        return page

    async def post(self, path: str, form: dict[str, str] | None = None, **headers: str) -> Page:
        """Send a form as a browser does, with the token of the page seen last."""
        fields = {"form_token": self.form_token, **(form or {})}
        sent = {"Origin": self.origin, **{name.replace("_", "-"): value for name, value in headers.items()}}
        sent = {name: value for name, value in sent.items() if value}
        async with self.http.post(self.url + path, data=fields, allow_redirects=False, headers=sent) as response:
            return await self._page(response)

    async def log_in(self, token: str = OPS_TOKEN, name: str = "", **headers: str) -> Page:
        await self.get("/login")
        page = await self.post("/login", {"token": token, "name": name, "next": "/faxes"}, **headers)
        if page.status == 303:
            await self.get("/faxes")
        return page

    @staticmethod
    async def _page(response: aiohttp.ClientResponse) -> Page:
        cookies = {name: morsel.OutputString() for name, morsel in response.cookies.items()}
        return Page(response.status, await response.text(), dict(response.headers), cookies)
