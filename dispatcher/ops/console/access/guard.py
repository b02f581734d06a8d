"""The guard of the console: checks session and form of every request, and answers errors as pages.

| the request | needs |
|---|---|
| a page (GET) | a session of either role; without one the browser is sent to the log-in, and from there back |
| a change (POST) | an operator's session, a form sent by one of our own pages, and that session's form token |

A form of another site is refused twice: by what the browser says of its origin, and by the token it cannot know.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit
from uuid import UUID

import msgspec
from aiohttp import hdrs, web

from dispatcher.ops.api.problems import CRASHED, log_crash, problem_of
from dispatcher.ops.console.access.forms import check_origin, check_query, read_form, set_cookie
from dispatcher.ops.console.access.session import Expired, Session, Sessions, is_same
from dispatcher.ops.console.errors import UNCHANGED, PageError, page_error_of
from dispatcher.ops.console.render import Renderer

SESSION_COOKIE: Final = "faxhook_session"
NOTICE_COOKIE: Final = "faxhook_notice"
NOTICE_SECONDS: Final = 120
"""How long the notice of a change is kept for the page after it."""

FORM_TOKEN: Final = "form_token"  # noqa: S105 - the name of a field

Handler = Callable[["Visit"], Awaitable[web.StreamResponse]]
RequestHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Badges = Callable[[], Mapping[str, int]]
IsValid = Callable[[UUID], Awaitable[bool]]


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What the next page says on top, once. `token` is a secret that is shown only there."""

    said: str
    token: str | None = None


class Visit:
    """One request with a session, and the ways to answer it."""

    def __init__(self, guard: "Guard", request: web.Request, session: Session, form: Mapping[str, str]) -> None:
        self._guard = guard
        self.request = request
        self.session = session
        self.form = form

    def page(self, template: str, status: int = 200, **context: Any) -> web.Response:
        """Answer a page; shows the notice that the last change left, and forgets it."""
        notice = self._guard.notice_of(self)
        response = self.part(template, status, **context, notice=notice)
        if notice is not None:
            response.del_cookie(NOTICE_COOKIE, path="/")
        return response

    def part(self, template: str, status: int = 200, **context: Any) -> web.Response:
        """Answer a part of a page, for the script; a notice is kept for a page that shows it."""
        always = {
            "session": self.session,
            "form_token": self._guard.sessions.form_token(self.session),
            "badges": self._guard.badges(),
            "path": self.request.path,
        }
        return self._guard.renderer.page(template, {**context, **always}, status)

    def go(self, path: str, said: str | None = None, *, token: str | None = None) -> web.Response:
        """Answer a change: lead to the page at *path*, which says *said* and shows *token* once."""
        response = redirect(path)
        if said is not None:
            notice = msgspec.json.encode(Notice(said=said, token=token)).decode()
            sealed = self._guard.sessions.seal(self.session, notice)
            set_cookie(self.request, response, NOTICE_COOKIE, sealed, NOTICE_SECONDS)
        return response

    def check_may_change(self) -> None:
        """Refuse a reader.

        Raises:
            PageError: The session is read-only.
        """
        if not self.session.may_change:
            raise PageError(403, "Read-only session", "You are logged in with a read-only token.")


class Guard:
    """Wraps the handlers of pages and changes.

    Args:
        sessions: None where there is no OPS_TOKEN: the console is off.
        is_valid: Says whether an access token, by its id, was neither revoked nor has expired.
    """

    def __init__(self, sessions: Sessions | None, renderer: Renderer, badges: Badges, is_valid: IsValid) -> None:
        self._sessions = sessions
        self._is_valid = is_valid
        self.renderer = renderer
        self.badges = badges

    @property
    def sessions(self) -> Sessions:
        """Return the sessions; only where the console is on."""
        assert self._sessions is not None
        return self._sessions

    def page(self, handler: Handler, names: Collection[str] | None = ()) -> RequestHandler:
        """Return *handler* for requests with a session whose query has none but *names*; None: any."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            session = self.session_of(request)
            if not isinstance(session, Session):
                return _to_login(request.path_qs, "expired" if isinstance(session, Expired) else None)
            if not await self.goes_on(session):
                return _to_login(request.path_qs, "revoked")
            if names is not None:
                check_query(request, names)
            return await handler(Visit(self, request, session, {}))

        return self.open(guarded)

    def change(self, handler: Handler) -> RequestHandler:
        """Return *handler* for forms of an operator's session."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            session = self.session_of(request)
            if not isinstance(session, Session):
                return _to_login(_page_before(request), "expired")
            if not await self.goes_on(session):
                return _to_login(_page_before(request), "revoked")
            check_origin(request)
            visit = Visit(self, request, session, {})
            visit.check_may_change()
            form = await read_form(request)
            if not is_same(form.pop(FORM_TOKEN, ""), self.sessions.form_token(session)):
                why = "The form belongs to another session. Go back, reload the page, and send it again."
                raise PageError(403, UNCHANGED, why)
            visit.form = form
            return await handler(visit)

        return self.open(guarded)

    def open(self, handler: RequestHandler) -> RequestHandler:
        """Return *handler* for every request, with errors as pages."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            if self._sessions is None:
                return self.renderer.page("off.html", {}, 503)
            try:
                return await handler(request)
            except Exception as error:  # noqa: BLE001 - the outermost edge: every error becomes a page
                return self._error_page(request, error)

        return guarded

    def session_of(self, request: web.Request) -> Session | Expired | None:
        """Return the session of *request*."""
        cookie = request.cookies.get(SESSION_COOKIE)
        return None if cookie is None or self._sessions is None else self._sessions.read(cookie)

    async def goes_on(self, session: Session) -> bool:
        """Return whether the access token that *session* was opened with is still valid."""
        return session.token_id is None or await self._is_valid(session.token_id)

    def notice_of(self, visit: Visit) -> Notice | None:
        """Return the notice of the last change."""
        sealed = visit.request.cookies.get(NOTICE_COOKIE)
        text = None if sealed is None else self.sessions.unseal(visit.session, sealed, NOTICE_SECONDS)
        return None if text is None else msgspec.json.decode(text, type=Notice)

    def _error_page(self, request: web.Request, error: Exception) -> web.Response:
        if not isinstance(error, PageError):
            problem = problem_of(error, request)
            if problem.code == CRASHED:
                log_crash("console.crashed", request, error)
            error = page_error_of(error, problem)
        context = {"title": error.title, "sentence": error.sentence}
        session = self.session_of(request)
        if isinstance(session, Session):
            return Visit(self, request, session, {}).page("error.html", error.status, **context)
        return self.renderer.page("error.html", {**context, "session": None}, error.status)


def redirect(path: str) -> web.Response:
    """Lead the browser to *path*; not to be kept."""
    headers = {hdrs.LOCATION: path, hdrs.CACHE_CONTROL: "no-store"}
    return web.Response(status=web.HTTPSeeOther.status_code, headers=headers)


def _to_login(back_to: str, why: str | None) -> web.Response:
    query = [f"next={quote(back_to, safe='')}"] if back_to != "/" else []
    query += [f"why={why}"] if why else []
    return redirect("/login" + (f"?{'&'.join(query)}" if query else ""))


def _page_before(request: web.Request) -> str:
    # A form's own address often takes no GET; the page that held it does.
    before = urlsplit(request.headers.get("Referer", ""))
    if before.netloc != request.host:
        return "/"
    return before.path + (f"?{before.query}" if before.query else "")
