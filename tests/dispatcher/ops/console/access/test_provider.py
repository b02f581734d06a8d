"""An ID token is believed only if the provider signed it, for us, for this log-in, and lately."""

import base64
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from dispatcher.configuration.identity_provider import IdentityProvider
from dispatcher.ops.console.access.provider import Begun, Provider
from dispatcher.ops.console.errors import PageError

OURS = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
ANOTHER = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
SECRET = OctKey.import_key("secret-of-the-console-and-long-enough")
BEGUN = Begun(url="", state="state", nonce="nonce", code_verifier="verifier")


class Signer:
    """A provider that signs whatever the test wants."""

    def __init__(self) -> None:
        self.issuer = ""
        self.algorithms = ["none", "HS256", "RS256"]
        self.header: dict[str, Any] = {"alg": "RS256", "kid": "one"}
        self.key: Any = OURS
        self.changed: dict[str, Any] = {}
        self.named_issuer: str | None = None
        self.asked: dict[str, Any] = {}

    async def discovery(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": self.named_issuer or self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
                "id_token_signing_alg_values_supported": self.algorithms,
            }
        )

    async def jwks(self, _request: web.Request) -> web.Response:
        return web.json_response({"keys": [OURS.as_dict(private=False)]})

    async def token(self, request: web.Request) -> web.Response:
        self.asked = dict(await request.post())
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": "console", "sub": "1", "iat": now, "exp": now + 60, "nonce": "nonce"}
        claims = {name: value for name, value in {**claims, **self.changed}.items() if value is not None}
        if self.key is None:
            parts = [base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=") for each in (self.header, claims)]
            signed = b".".join([*parts, b""]).decode()
        else:
            signed = jwt.encode(self.header, claims, self.key, algorithms=["HS256", "RS256"])
        return web.json_response({"access_token": "a", "token_type": "Bearer", "id_token": signed})


@pytest.fixture
async def signer(unused_tcp_port: int) -> AsyncIterator[Signer]:
    found = Signer()
    found.issuer = f"http://127.0.0.1:{unused_tcp_port}"
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", found.discovery)
    app.router.add_get("/jwks", found.jwks)
    app.router.add_post("/token", found.token)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
    yield found
    await runner.cleanup()


def provider_of(signer: Signer) -> Provider:
    return Provider(
        IdentityProvider(
            issuer=signer.issuer,
            client_id="console",
            client_secret=None,
            console_url="http://127.0.0.1:1",
            roles_claim="roles",
            rights={},
        )
    )


async def test_a_good_token_is_believed_and_the_code_is_proved(signer: Signer) -> None:
    claims = await provider_of(signer).claims(BEGUN, "code")
    assert claims["sub"] == "1"
    assert (signer.asked["code"], signer.asked["code_verifier"]) == ("code", "verifier")


@pytest.mark.parametrize(
    ("changed", "status", "sentence"),
    [
        ({"iss": "https://other.example"}, 403, "another identity provider"),
        ({"iss": None}, 403, "another identity provider"),
        ({"aud": "another-application"}, 403, "another application"),
        ({"aud": ["another-application"]}, 403, "another application"),
        ({"aud": "another-application", "azp": "console"}, 403, "another application"),
        ({"aud": ["console", "another"], "azp": "another"}, 403, "another application"),
        ({"nonce": "another"}, 401, "another attempt"),
        ({"nonce": None}, 401, "another attempt"),
        ({"exp": 1}, 401, "has expired"),
        ({"exp": None}, 401, "has expired"),
        ({"sub": None}, 401, "sub is missing"),
    ],
)
async def test_a_wrong_claim_is_refused(signer: Signer, changed: dict[str, Any], status: int, sentence: str) -> None:
    signer.changed = changed
    with pytest.raises(PageError, match=sentence) as refused:
        await provider_of(signer).claims(BEGUN, "code")
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("header", "key"),
    [({"alg": "none"}, None), ({"alg": "HS256"}, SECRET), ({"alg": "RS256", "kid": "one"}, ANOTHER)],
)
async def test_a_token_that_the_provider_did_not_sign_is_refused(
    signer: Signer, header: dict[str, Any], key: Any
) -> None:
    signer.header, signer.key = header, key
    with pytest.raises(PageError, match="cannot be verified") as refused:
        await provider_of(signer).claims(BEGUN, "code")
    assert refused.value.status == 401


async def test_a_provider_of_another_name_is_refused_until_it_has_its_own(signer: Signer) -> None:
    provider = provider_of(signer)
    signer.named_issuer = "https://other.example"
    with pytest.raises(PageError, match="another name") as refused:
        await provider.begin()
    assert refused.value.status == 503
    signer.named_issuer = None
    assert (await provider.begin()).url.startswith(f"{signer.issuer}/authorize?")
