"""What every request to the console goes through: who asks, what may they, and errors as pages.

| the request | needs |
|---|---|
| a page (GET) | a session of either role; without one the log-in is asked for, and leads back |
| a change (POST) | a session of the operator's, sent by one of our own pages, with that session's form token |

A form of another site is refused twice: by what the browser says of its origin, and by the token it cannot know.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

import msgspec
from aiohttp import hdrs, web

from dispatcher.ops.api.problems import CRASHED, Problem, log_crash, problem_of
from dispatcher.ops.console.access.session import Expired, Session, Sessions, is_same
from dispatcher.ops.console.render import Renderer
from dispatcher.ops.endpoints.urls import BadEndpoint
from shared.amqp.connection import ConnectionLost

SESSION_COOKIE: Final = "faxhook_session"
NOTICE_COOKIE: Final = "faxhook_notice"
NOTICE_SECONDS: Final = 120
"""How long what a change has to say waits for the page after it."""

FORM_TOKEN: Final = "form_token"  # noqa: S105 - the name of a field

Handler = Callable[["Visit"], Awaitable[web.StreamResponse]]
Badges = Callable[[], Mapping[str, int]]


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What the next page says on top, once. `token` is a secret that is shown only there."""

    said: str
    token: str | None = None
    is_trouble: bool = False


class Trouble(Exception):
    """A page that says what went wrong, in place of the one that was asked for."""

    def __init__(self, status: int, title: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.title = title
        self.sentence = sentence


class Visit:
    """One request of somebody who is logged in, and the ways to answer it."""

    def __init__(self, door: "Guard", request: web.Request, session: Session, form: Mapping[str, str]) -> None:
        self._door = door
        self.request = request
        self.session = session
        self.form = form

    def page(self, template: str, status: int = 200, **context: Any) -> web.Response:
        """Answer a page; shows the notice that the last change left, and forgets it."""
        notice = self._door.notice_of(self)
        response = self._rendered(template, status, {**context, "notice": notice})
        if notice is not None:
            response.del_cookie(NOTICE_COOKIE, path="/")
        return response

    def part(self, template: str, **context: Any) -> web.Response:
        """Answer a part of a page, for the script; a notice waits for a page that shows it."""
        return self._rendered(template, 200, context)

    def _rendered(self, template: str, status: int, context: Mapping[str, Any]) -> web.Response:
        always = {
            "session": self.session,
            "form_token": self._door.sessions.form_token(self.session),
            "badges": self._door.badges(),
            "path": self.request.path,
        }
        return self._door.renderer.page(template, {**context, **always}, status)

    def go(
        self, path: str, said: str | None = None, *, token: str | None = None, is_trouble: bool = False
    ) -> web.Response:
        """Answer a change: lead to the page at *path*, which says *said* and shows *token* once."""
        response = web.Response(status=web.HTTPSeeOther.status_code, headers={hdrs.LOCATION: path})
        response.headers["Cache-Control"] = "no-store"
        if said is not None:
            notice = msgspec.json.encode(Notice(said=said, token=token, is_trouble=is_trouble)).decode()
            set_cookie(
                self.request,
                response,
                NOTICE_COOKIE,
                self._door.sessions.seal(self.session, notice),
                NOTICE_SECONDS,
            )
        return response


class Guard:
    """Wraps the handlers of pages and changes."""

    def __init__(self, sessions: Sessions | None, renderer: Renderer, badges: Badges) -> None:
        self._sessions = sessions
        self.renderer = renderer
        self.badges = badges

    @property
    def sessions(self) -> Sessions:
        """Return the sessions; there are none where the console is off, and nothing asks then."""
        assert self._sessions is not None
        return self._sessions

    @property
    def is_off(self) -> bool:
        """Is there no OPS_TOKEN?"""
        return self._sessions is None

    def page(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Return *handler* for who is logged in."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            return await self._guarded(request, lambda: self._look(request, handler))

        return guarded

    def change(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Return *handler* for an operator whose form it is."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            return await self._guarded(request, lambda: self._change(request, handler))

        return guarded

    def open(
        self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Return *handler* for everybody, with errors as pages."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            return await self._guarded(request, lambda: handler(request))

        return guarded

    def session_of(self, request: web.Request) -> Session | Expired | None:
        """Return who asks."""
        cookie = request.cookies.get(SESSION_COOKIE)
        return None if cookie is None or self._sessions is None else self._sessions.read(cookie)

    def notice_of(self, visit: Visit) -> Notice | None:
        """Return what the last change has to say."""
        sealed = visit.request.cookies.get(NOTICE_COOKIE)
        text = None if sealed is None else self.sessions.unseal(visit.session, sealed, NOTICE_SECONDS)
        return None if text is None else msgspec.json.decode(text, type=Notice)

    async def _look(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        session = self.session_of(request)
        if not isinstance(session, Session):
            return to_login(request.path_qs, is_expired=isinstance(session, Expired))
        return await handler(Visit(self, request, session, {}))

    async def _change(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        session = self.session_of(request)
        if not isinstance(session, Session):
            return to_login(_page_before(request), is_expired=True)
        check_origin(request)
        if not session.may_change:
            raise Trouble(403, "You may look, not change", "You are logged in with the read-only token.")
        form = await read_form(request)
        if not is_same(form.pop(FORM_TOKEN, ""), self.sessions.form_token(session)):
            raise Trouble(
                403,
                "Nothing was changed",
                "The form belongs to another log-in. Go back, reload the page, and send it again.",
            )
        return await handler(Visit(self, request, session, form))

    async def _guarded(
        self, request: web.Request, answer: Callable[[], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if self.is_off:
            return self.renderer.page("off.html", {}, 503)
        try:
            return await answer()
        except Exception as error:  # noqa: BLE001 - the outermost edge: every error becomes a page
            return self._trouble(request, error)

    def _trouble(self, request: web.Request, error: Exception) -> web.Response:
        trouble = error if isinstance(error, Trouble) else trouble_of(error, problem_of(error, request))
        if trouble.status == web.HTTPInternalServerError.status_code:
            log_crash("console.crashed", request, error)
        session = self.session_of(request)
        context = {"title": trouble.title, "sentence": trouble.sentence}
        if isinstance(session, Session):
            return Visit(self, request, session, {}).page("trouble.html", trouble.status, **context)
        return self.renderer.page("trouble_outside.html", context, trouble.status)


PAGES: Final = {
    "bad_value": ("That cannot be looked for", "It holds something that no id holds, such as a NUL."),
    "command_id_reused": ("Nothing was changed", "This form was sent before. Reload the page, then try again."),
    "job_not_found": ("There is no such job", "The address names none. The latest stand under Dead letters."),
    "not_found": ("No such endpoint", "There is none with this id, or it was removed."),
    "request_entity_too_large": ("Nothing was changed", "The form is too large."),
    CRASHED: ("Our own code failed", "The log of the dispatcher says where."),
}
"""Title and sentence of the page for a problem's code; of other codes the page says the problem's detail."""

LEDGER_AWAY: Final = (
    "The ledger does not answer",
    "The database is away or overloaded; this page is made from it. Nothing is lost meanwhile. Try again in a moment.",
)
BROKER_AWAY: Final = (
    "The broker does not answer",
    "RabbitMQ is away; dead letters are read from it. Nothing is lost meanwhile. Try again in a moment.",
)


def trouble_of(error: Exception, problem: Problem) -> Trouble:
    """Return the page that says the *problem* that *error* became."""
    if problem.code == "unavailable":
        words = BROKER_AWAY if isinstance(error, ConnectionLost) else LEDGER_AWAY
    elif isinstance(error, BadEndpoint):
        words = "Nothing was changed", f"{error}."
    else:
        detail = f"{problem.detail[:1].upper()}{problem.detail[1:].rstrip('.')}."
        words = PAGES.get(problem.code, ("That did not work", detail))
    return Trouble(problem.status, *words)


def check_origin(request: web.Request) -> None:
    """Refuse a form that another site sent.

    Browsers say it in `Sec-Fetch-Site` (over https and on localhost), all of them in `Origin`.

    Raises:
        Trouble: It came from elsewhere, or nothing says where from.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    is_ours = site == "same-origin" if site else origin is not None and urlsplit(origin).netloc == request.host
    if not is_ours:
        raise Trouble(
            403, "Nothing was changed", "The request did not come from a page of this console. Send it from there."
        )


async def read_form(request: web.Request) -> dict[str, str]:
    """Return the fields of a form; of a name that came twice the last one.

    Raises:
        Trouble: It is none that a page of ours sends.
    """
    if request.content_type != "application/x-www-form-urlencoded":
        raise Trouble(415, "Nothing was changed", "That is no form of this console.")
    try:
        return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    except (ValueError, LookupError):  # bytes that are no text, or a charset that there is not
        raise Trouble(400, "Nothing was changed", "The form cannot be read.") from None


def set_cookie(request: web.Request, response: web.Response, name: str, value: str, seconds: float | None) -> None:
    """Set a cookie for this site alone, out of reach of scripts; over https it is never sent in clear."""
    response.set_cookie(
        name,
        value,
        max_age=None if seconds is None else round(seconds),
        path="/",
        httponly=True,
        samesite="Strict",
        secure=is_https(request),
    )


def is_https(request: web.Request) -> bool:
    """Did the browser come by https? TLS ends at the platform, which says so."""
    forwarded = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower()
    return request.secure or forwarded == "https"


def to_login(back_to: str, *, is_expired: bool = False) -> web.Response:
    """Lead to the log-in, and from there to *back_to*."""
    query = f"?next={quote(back_to, safe='')}" if back_to != "/" else ""
    query += ("&" if query else "?") + "why=expired" if is_expired else ""
    return web.Response(status=303, headers={hdrs.LOCATION: f"/login{query}", "Cache-Control": "no-store"})


def _page_before(request: web.Request) -> str:
    # A form's own address often takes no GET; the page that held it does.
    before = urlsplit(request.headers.get("Referer", ""))
    if before.netloc != request.host:
        return "/"
    return before.path + (f"?{before.query}" if before.query else "")
