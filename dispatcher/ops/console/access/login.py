"""Log-in and log-out."""

import secrets
from collections.abc import Callable, Mapping
from math import ceil
from typing import Final

from aiohttp import hdrs, web

from dispatcher.ledger.pool import Pool
from dispatcher.ops.access.authenticator import UNKNOWN, WRONG, Authenticator, Refused, identity_of
from dispatcher.ops.api.audit import write_audit
from dispatcher.ops.console.access.forms import check_origin, read_form, set_cookie
from dispatcher.ops.console.access.guard import FORM_TOKEN, SESSION_COOKIE, Guard, redirect
from dispatcher.ops.console.access.session import SESSION_SECONDS, Session, cleaned_name, is_same, safe_return_path
from dispatcher.ops.console.access.throttle import Throttle
from dispatcher.ops.console.words import sentence

NONCE_COOKIE: Final = "faxhook_login"

SENTENCES: Final = {
    "expired": "Your session has expired. Nothing was changed; log in to go on where you were.",
    "out": "You are logged out.",
    "revoked": "The access token that you logged in with is no longer valid. Nothing was changed; log in again.",
    "wrong": "The token is neither the ops token, nor the read-only token, nor a named one.",
    "stale": "This log-in form is too old, or your browser refuses cookies. Try again.",
}


class Login:
    """The handlers.

    Args:
        guard: Knows the sessions.
        pool: For the audit.
        authenticator: Knows the tokens.
        clock: Monotonic seconds, for the throttle.
        has_provider: People may log in by an identity provider, too.
    """

    def __init__(
        self,
        guard: Guard,
        pool: Pool,
        authenticator: Authenticator,
        clock: Callable[[], float],
        *,
        has_provider: bool = False,
    ) -> None:
        self._has_provider = has_provider
        self._authenticator = authenticator
        self._guard = guard
        self._pool = pool
        self._clock = clock
        self._throttle = Throttle()

    async def show(self, request: web.Request) -> web.Response:
        """Show the form; a browser with a session is sent on."""
        back_to = safe_return_path(request.query.get("next"))
        session = self._guard.session_of(request)
        if isinstance(session, Session) and await self._guard.goes_on(session):
            return redirect(back_to)
        return self._form(request, 200, back_to, SENTENCES.get(request.query.get("why", "")), is_wrong=False)

    async def enter(self, request: web.Request) -> web.Response:
        """Check the token; a right one opens a session."""
        check_origin(request)
        form = await read_form(request)
        back_to = safe_return_path(form.get("next"))
        address = request.remote or ""
        if wait := self._throttle.wait_seconds(address, self._clock()):
            response = self._form(request, 429, back_to, f"Too many wrong tokens. Try again in {ceil(wait)} s.")
            response.headers[hdrs.RETRY_AFTER] = str(ceil(wait))
            return response
        wanted = self._guard.sessions.login_form_token(request.cookies.get(NONCE_COOKIE, ""))
        if NONCE_COOKIE not in request.cookies or not is_same(form.get(FORM_TOKEN, ""), wanted):
            return self._form(request, 403, back_to, SENTENCES["stale"])
        cookie = await self._cookie_of(form)
        if isinstance(cookie, Refused):
            self._throttle.failed(address, self._clock())
            self._authenticator.refusals.note("console.refused", cookie.who, cookie.reason)
            why = SENTENCES["wrong"] if cookie.reason == WRONG else sentence(cookie.reason)
            return self._form(request, 401, back_to, why, name=cleaned_name(form.get("name", "")))
        self._throttle.succeeded(address)
        return await self.opened(request, cookie, back_to)

    async def _cookie_of(self, form: Mapping[str, str]) -> str | Refused:
        """Return the cookie of a session that the form's token opens."""
        given, name = form.get("token", "").strip(), form.get("name", "")
        if (role := self._guard.sessions.role_of(given)) is not None:
            return self._guard.sessions.open(role, name)
        token = await self._authenticator.named(given)
        if isinstance(token, Refused):
            return token if token.who != UNKNOWN else Refused(token.reason, cleaned_name(name) or UNKNOWN)
        until = None if token.expires_at is None else token.expires_at.timestamp()
        return self._guard.sessions.open_named(identity_of(token), token.id, until)

    async def opened(self, request: web.Request, cookie: str, back_to: str) -> web.Response:
        """Audit a new session, and lead its browser to *back_to*."""
        session = self._guard.sessions.read(cookie)
        assert isinstance(session, Session)
        await write_audit(self._pool, session.who, "console.logged_in", session.role)
        response = redirect(back_to)
        set_cookie(request, response, SESSION_COOKIE, cookie, SESSION_SECONDS)
        response.del_cookie(NONCE_COOKIE, path="/")
        return response

    async def leave(self, request: web.Request) -> web.Response:
        """Log out, a session of either role."""
        check_origin(request)
        session = self._guard.session_of(request)
        given = (await read_form(request)).get(FORM_TOKEN, "")
        if isinstance(session, Session) and not is_same(given, self._guard.sessions.form_token(session)):
            return redirect("/")
        response = redirect("/login?why=out")
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
        context = {
            "back_to": back_to,
            "sentence": sentence,
            "is_wrong": is_wrong,
            "name": name,
            "has_provider": self._has_provider,
            "form_token": self._guard.sessions.login_form_token(nonce),
        }
        response = self._guard.renderer.page("login.html", context, status)
        set_cookie(request, response, NONCE_COOKIE, nonce, None)
        return response
