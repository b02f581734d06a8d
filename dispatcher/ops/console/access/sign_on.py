"""Log-in by OpenID Connect: the browser goes to the identity provider and comes back with a code.

| the browser comes back | then |
|---|---|
| with the state that it was given here, within ten minutes | the code is exchanged, and the person's roles decide |
| without that cookie, or with another state | refused: the log-in began in another browser, or long ago |
| from another identity provider (`iss`, RFC 9207) | refused |
| with an error | shown as a sentence |
"""

from typing import Final

import msgspec
from aiohttp import web

from dispatcher.ops.access.authenticator import UNKNOWN, Authenticator
from dispatcher.ops.access.rights import Identity
from dispatcher.ops.console.access.claims import MOST_ROLES_SHOWN, identity_from, roles_of
from dispatcher.ops.console.access.forms import set_cookie
from dispatcher.ops.console.access.guard import Guard, redirect
from dispatcher.ops.console.access.login import Login
from dispatcher.ops.console.access.provider import CALLBACK_PATH, OTHER_CLAIMS, TITLE, Begun, Provider
from dispatcher.ops.console.access.session import is_same, safe_return_path
from dispatcher.ops.console.errors import PageError

COOKIE: Final = "faxhook_sign_on"
SECONDS: Final = 600
"""For a person to log in at the provider."""

BEGIN_PATH: Final = "/login/oidc"
MOST_CODE_CHARACTERS: Final = 4_096

STALE: Final = "The log-in began in another browser or too long ago. Begin again."
DENIED: Final = "The identity provider did not log you in"


class _Kept(msgspec.Struct, frozen=True):
    begun: Begun
    back_to: str


class SignOn:
    """The handlers."""

    def __init__(self, guard: Guard, login: Login, provider: Provider, authenticator: Authenticator) -> None:
        self._guard = guard
        self._login = login
        self._provider = provider
        self._refusals = authenticator.refusals

    def add_to(self, app: web.Application) -> None:
        """Register both ways."""
        app.router.add_get(BEGIN_PATH, self._guard.open(self.begin))
        app.router.add_get(CALLBACK_PATH, self._guard.open(self.finish))

    async def begin(self, request: web.Request) -> web.Response:
        """Lead the browser to the provider."""
        begun = await self._provider.begin()
        kept = msgspec.json.encode(_Kept(begun, safe_return_path(request.query.get("next")))).decode()
        response = redirect(begun.url)
        # Lax: the browser comes back from the provider's site, and sends no cookie that is strict.
        set_cookie(request, response, COOKIE, self._guard.sessions.seal_login(kept), SECONDS, same_site="Lax")
        return response

    async def finish(self, request: web.Request) -> web.Response:
        """Open a session for who comes back from the provider."""
        try:
            kept = self._kept(request)
            identity = await self._identity(kept.begun, request)
        except PageError as error:
            if error.status < web.HTTPInternalServerError.status_code:
                who, reason = getattr(error, "who", UNKNOWN), error.sentence
                self._refusals.note("console.refused", who, reason)
            raise
        cookie = self._guard.sessions.open_person(identity)
        response = await self._login.opened(request, cookie, kept.back_to)
        response.del_cookie(COOKIE, path="/")
        # A redirect from the provider's site brings no strict cookie along; a page of ours that leads on does.
        return self._guard.renderer.with_cookies_of(response, "logged_in.html", {"back_to": kept.back_to})

    def _kept(self, request: web.Request) -> _Kept:
        """Return what was kept when this log-in began."""
        text = self._guard.sessions.unseal_login(request.cookies.get(COOKIE, ""), SECONDS)
        if text is None:
            raise PageError(400, TITLE, STALE)
        kept = msgspec.json.decode(text, type=_Kept)
        if not is_same(request.query.get("state", ""), kept.begun.state):
            raise PageError(400, TITLE, STALE)
        return kept

    async def _identity(self, begun: Begun, request: web.Request) -> Identity:
        """Return who logged in."""
        query, settings = request.query, self._provider.settings
        if "iss" in query and query["iss"] != settings.issuer:
            raise PageError(OTHER_CLAIMS["iss"][0], TITLE, OTHER_CLAIMS["iss"][1])
        if "error" in query:
            said = "".join(each for each in query["error"][:60] if each.isprintable())
            raise PageError(403, TITLE, f"{DENIED}: {said}.")
        code = query.get("code", "")
        if not 0 < len(code) <= MOST_CODE_CHARACTERS:
            raise PageError(400, TITLE, STALE)
        claims = await self._provider.claims(begun, code)
        identity = identity_from(claims, settings.roles_claim, settings.rights)
        if not identity.rights:
            raise NoRole(identity.who, roles_of(claims, settings.roles_claim), settings.roles_claim, settings.rights)
        return identity


class NoRole(PageError):
    """A person whom the provider knows and who has no role here."""

    def __init__(self, who: str, roles: tuple[str, ...], claim: str, known: dict[str, str]) -> None:
        has = f"names {', '.join(roles[:MOST_ROLES_SHOWN])}" if roles else "names none"
        sentence = f"You have no role here: the claim {claim} {has}; known are {', '.join(known)}."
        super().__init__(403, TITLE, sentence)
        self.who = who
