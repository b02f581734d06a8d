"""Log-in and log-out."""

import secrets
from collections.abc import Callable
from math import ceil
from typing import Final

from aiohttp import web

from dispatcher.ops.console.access.guard import FORM_TOKEN, SESSION_COOKIE, Guard, check_origin, read_form, set_cookie
from dispatcher.ops.console.access.session import SESSION_SECONDS, Session, cleaned_name, is_same, safe_return_path
from dispatcher.ops.console.access.throttle import Throttle
from dispatcher.ops.console.pages.audit import Audit

NONCE_COOKIE: Final = "faxhook_login"

SENTENCES: Final = {
    "expired": "Your log-in has expired. Nothing was changed since; log in to go on where you were.",
    "out": "You are logged out.",
    "wrong": "That is neither the ops token nor the read-only token.",
    "stale": "This log-in form is too old, or your browser refuses cookies. Try once more.",
}


class Login:
    """The handlers.

    Args:
        door: Knows the sessions.
        audit: Writes down who logged in.
        clock: Monotonic seconds, for the throttle.
    """

    def __init__(self, door: Guard, audit: Audit, clock: Callable[[], float]) -> None:
        self._door = door
        self._audit = audit
        self._clock = clock
        self._throttle = Throttle()

    async def show(self, request: web.Request) -> web.Response:
        """Show the form; who is logged in already is led on."""
        back_to = safe_return_path(request.query.get("next"))
        if isinstance(self._door.session_of(request), Session):
            return web.Response(status=303, headers={"Location": back_to})
        return self._form(request, 200, back_to, SENTENCES.get(request.query.get("why", "")), is_wrong=False)

    async def enter(self, request: web.Request) -> web.Response:
        """Take the token; a right one opens a session."""
        check_origin(request)
        form = await read_form(request)
        back_to = safe_return_path(form.get("next"))
        address = request.remote or ""
        if wait := self._throttle.wait_seconds(address, self._clock()):
            sentence = f"Too many wrong tokens. The next one is looked at in {ceil(wait)} s."
            response = self._form(request, 429, back_to, sentence)
            response.headers["Retry-After"] = str(ceil(wait))
            return response
        wanted = self._door.sessions.login_form_token(request.cookies.get(NONCE_COOKIE, ""))
        if NONCE_COOKIE not in request.cookies or not is_same(form.get(FORM_TOKEN, ""), wanted):
            return self._form(request, 403, back_to, SENTENCES["stale"])
        role = self._door.sessions.role_of(form.get("token", "").strip())
        if role is None:
            self._throttle.failed(address, self._clock())
            return self._form(request, 401, back_to, SENTENCES["wrong"], name=cleaned_name(form.get("name", "")))
        self._throttle.succeeded(address)
        cookie = self._door.sessions.open(role, form.get("name", ""))
        session = self._door.sessions.read(cookie)
        assert isinstance(session, Session)
        await self._audit.write(session.who, "console.logged_in", role, {})
        response = web.Response(status=303, headers={"Location": back_to, "Cache-Control": "no-store"})
        set_cookie(request, response, SESSION_COOKIE, cookie, SESSION_SECONDS)
        response.del_cookie(NONCE_COOKIE, path="/")
        return response

    async def leave(self, request: web.Request) -> web.Response:
        """Log out. Readers may, too."""
        check_origin(request)
        session = self._door.session_of(request)
        form = await read_form(request)
        if isinstance(session, Session) and not is_same(
            form.get(FORM_TOKEN, ""), self._door.sessions.form_token(session)
        ):
            return web.Response(status=303, headers={"Location": "/"})
        response = web.Response(status=303, headers={"Location": "/login?why=out", "Cache-Control": "no-store"})
        response.del_cookie(SESSION_COOKIE, path="/")
        return response

    def _form(
        self,
        request: web.Request,
        status: int,
        back_to: str,
        sentence: str | None,
        *,
        is_wrong: bool = True,
        name: str = "",
    ) -> web.Response:
        nonce = request.cookies.get(NONCE_COOKIE) or secrets.token_urlsafe(16)
        response = self._door.renderer.page(
            "login.html",
            {
                "back_to": back_to,
                "sentence": sentence,
                "is_wrong": is_wrong,
                "name": name,
                "form_token": self._door.sessions.login_form_token(nonce),
            },
            status,
        )
        set_cookie(request, response, NONCE_COOKIE, nonce, None)
        return response
