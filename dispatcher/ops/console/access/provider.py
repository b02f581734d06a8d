"""The identity provider, asked by Authlib: discovery, authorization code flow with PKCE, checks of the ID token."""

import ssl
from collections.abc import Mapping
from typing import Any, Final

import httpx2
import msgspec
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.base_client import BaseApp
from authlib.integrations.base_client.async_app import AsyncOAuth2Mixin
from authlib.integrations.base_client.async_openid import AsyncOpenIDMixin
from authlib.integrations.httpx_client import AsyncOAuth2Client
from joserfc.errors import ClaimError, ExpiredTokenError, JoseError

from dispatcher.configuration.identity_provider import IdentityProvider
from dispatcher.ops.console.access.claims import roles_of
from dispatcher.ops.console.errors import PageError

TIMEOUT_SECONDS: Final = 10.0
CLOCK_SECONDS: Final = 60
"""How far the provider's clock and ours may lie apart."""

CALLBACK_PATH: Final = "/login/oidc/callback"
DISCOVERY: Final = "/.well-known/openid-configuration"
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""With a key pair. `none` proves nothing, and HMAC would prove no more than knowledge of our own secret."""

TITLE: Final = "You are not logged in"

OTHER_CLAIMS: Final[Mapping[str, tuple[int, str]]] = {
    "iss": (403, "The log-in comes from another identity provider than the one of this console."),
    "aud": (403, "The log-in is for another application than this console."),
    "azp": (403, "The log-in is for another application than this console."),
    "nonce": (401, "The log-in belongs to another attempt. Begin again."),
    "exp": (401, "The log-in has expired. Begin again."),
}
"""Status and sentence by the claim of the ID token that is wrong."""


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A log-in under way: what only its own browser may know.

    Attributes:
        url: At the provider, where the browser goes.
        state: Comes back with the answer.
        nonce: Comes back in the ID token.
        code_verifier: Proves to the provider that the code is asked for by who began (PKCE).
    """

    url: str
    state: str
    nonce: str
    code_verifier: str


class _App(AsyncOAuth2Mixin, AsyncOpenIDMixin, BaseApp):  # type: ignore[misc]  # the library has no types
    client_cls = AsyncOAuth2Client

    def __init__(self, settings: IdentityProvider, **options: Any) -> None:
        super().__init__(None, "console", **options)
        self._issuer = settings.issuer

    async def load_server_metadata(self) -> dict[str, Any]:
        """Return the provider's discovery, which has to be its own."""
        metadata: dict[str, Any] = await super().load_server_metadata()
        if metadata.get("issuer") != self._issuer:
            metadata.clear()
            raise PageError(503, TITLE, "The identity provider calls itself by another name than OIDC_ISSUER.")
        supported = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        metadata["id_token_signing_alg_values_supported"] = [each for each in supported if each in ALGORITHMS]
        methods = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if self.client_secret and "client_secret_basic" not in methods and "client_secret_post" in methods:
            self.client_kwargs["token_endpoint_auth_method"] = "client_secret_post"  # noqa: S105 - a method
        return metadata


class Provider:
    """The identity provider of the settings."""

    def __init__(self, settings: IdentityProvider) -> None:
        self.settings = settings
        secret = settings.client_secret
        self._redirect_uri = settings.console_url + CALLBACK_PATH
        self._app = _App(
            settings,
            client_id=settings.client_id,
            client_secret=None if secret is None else secret.reveal(),
            server_metadata_url=settings.issuer.rstrip("/") + DISCOVERY,
            client_kwargs={
                "scope": "openid profile email",
                "code_challenge_method": "S256",
                "timeout": TIMEOUT_SECONDS,
                "verify": ssl.create_default_context(),
            },
        )

    async def begin(self) -> Begun:
        """Return where a new log-in begins.

        Raises:
            PageError: The provider does not answer as one.
        """
        try:
            return msgspec.convert(await self._app.create_authorization_url(self._redirect_uri), Begun)
        except (httpx2.HTTPError, ValueError, RuntimeError, TypeError, AttributeError) as error:
            raise _away() from error

    async def claims(self, begun: Begun, code: str) -> dict[str, Any]:
        """Return what the provider says of the person for whom it gave *code*.

        Raises:
            PageError: The code or the ID token is not valid, or the provider does not answer as one.
        """
        try:
            token = await self._app.fetch_access_token(self._redirect_uri, code=code, code_verifier=begun.code_verifier)
            claims = await self._app.parse_id_token(token, begun.nonce, self._wanted(), leeway=CLOCK_SECONDS)
            if claims is None:
                raise PageError(401, TITLE, "The identity provider gave no ID token. Is the scope openid allowed?")
            return await self._with_userinfo(dict(claims), token)
        except ExpiredTokenError as error:
            raise PageError(401, TITLE, OTHER_CLAIMS["exp"][1]) from error
        except ClaimError as error:
            missing = (401, f"The ID token's claim {error.claim} is missing or wrong.")
            status, sentence = OTHER_CLAIMS.get(error.claim, missing)
            raise PageError(status, TITLE, sentence) from error
        except JoseError as error:
            raise PageError(401, TITLE, "The signature of the log-in cannot be verified.") from error
        except AuthlibBaseError as error:
            refused = "The identity provider takes this log-in no longer: it has expired or was used. Begin again."
            raise PageError(401, TITLE, refused) from error
        except (httpx2.HTTPError, ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
            raise _away() from error

    def _wanted(self) -> dict[str, dict[str, Any]]:
        return {
            "iss": {"essential": True, "values": [self.settings.issuer]},
            "aud": {"essential": True, "values": [self.settings.client_id]},
        }

    async def _with_userinfo(self, claims: dict[str, Any], token: dict[str, Any]) -> dict[str, Any]:
        """Return *claims*, with those of the userinfo endpoint if the roles are only there."""
        metadata = await self._app.load_server_metadata()
        if roles_of(claims, self.settings.roles_claim) or "userinfo_endpoint" not in metadata:
            return claims
        info = dict(await self._app.userinfo(token=token))
        return {**info, **claims} if info.get("sub") == claims["sub"] else claims


def _away() -> PageError:
    return PageError(503, TITLE, "The identity provider does not answer. Try again in a moment, or use a token.")
