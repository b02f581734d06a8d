"""An OpenID Connect provider as people run it: Django with django-oauth-toolkit, in a process of its own.

PKCE is required, the issuer has a path, and the roles of a person are their groups. It is `localhost`, for browsers
another site than the console's 127.0.0.1. Run as a script it serves until it is killed; its first line is the issuer.
"""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import urljoin
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import aiohttp

CLIENT_ID = "console"
CLIENT_SECRET = "secret-of-the-console"
PASSWORD = "password-of-the-tests"
ROLES = {"ada": ["nurses"], "grace": ["x", "faxhook-admins"], "eve": ["cooks"], "mallory": [], "olga": ["desk"]}
SHARED_DATABASE = "file:provider?mode=memory&cache=shared"
"""In this process's memory, one for all its threads."""
LOGIN = '<form method="post">{% csrf_token %}{{ form }}<button>Log in</button></form>'


@contextmanager
def oidc_provider() -> Iterator[str]:
    """Run a provider; yield its issuer."""
    with subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


async def log_in_at(http: aiohttp.ClientSession, url: str, user: str) -> str:
    """Log *user* in at the provider's page *url* as a browser does; return where it leads back to."""
    async with http.get(url, allow_redirects=False) as response:
        assert response.status == 302, await response.text()
        page = urljoin(url, response.headers["Location"])
    async with http.get(page) as response:
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', await response.text())
    assert token is not None
    form = {"username": user, "password": PASSWORD, "csrfmiddlewaretoken": unescape(token[1])}
    async with http.post(page, data=form, allow_redirects=False, headers={"Referer": page}) as response:
        assert response.status == 302, await response.text()
        back = urljoin(page, response.headers["Location"])
    async with http.get(back, allow_redirects=False) as response:
        assert response.status == 302, await response.text()
        return response.headers["Location"]


def _serve() -> None:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - of this process only
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415 - of this process only
    from django.conf import settings  # noqa: PLC0415 - of this process only

    server = make_server("127.0.0.1", 0, None, _Threaded, _Quiet)  # type: ignore[arg-type]
    issuer = f"http://localhost:{server.server_port}/o"
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    locmem = ("django.template.loaders.locmem.Loader", {"registration/login.html": LOGIN})
    settings.configure(
        SECRET_KEY="of no use here",
        ALLOWED_HOSTS=["localhost"],
        ROOT_URLCONF=type("Routes", (), {"urlpatterns": property(lambda _: _routes())})(),
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": SHARED_DATABASE}},
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "oauth2_provider",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": {"loaders": [locmem]}}],
        LOGIN_URL="/login/",
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        LOGGING_CONFIG=None,
        OAUTH2_PROVIDER={
            "OIDC_ENABLED": True,
            "OIDC_ISS_ENDPOINT": issuer,
            "OIDC_RSA_PRIVATE_KEY": key.decode(),
            "OAUTH2_VALIDATOR_CLASS": _validator,
            "PKCE_REQUIRED": True,
            "SCOPES": {"openid": "", "profile": "", "email": ""},
        },
    )
    import django  # noqa: PLC0415 - configured by now
    from django.core.management import call_command  # noqa: PLC0415 - configured by now
    from django.core.wsgi import get_wsgi_application  # noqa: PLC0415 - configured by now

    django.setup()
    call_command("migrate", verbosity=0)
    _fill()
    application, turn = get_wsgi_application(), threading.Lock()

    def one_at_a_time(environ: Any, start_response: Any) -> Any:
        """Threads that share SQLite's memory refuse each other, instead of waiting."""
        with turn:
            return application(environ, start_response)

    server.set_app(one_at_a_time)
    print(issuer, flush=True)  # noqa: T201 - for who started it
    server.serve_forever()


def _fill() -> None:
    from django.contrib.auth.models import Group, User  # noqa: PLC0415 - configured by now
    from oauth2_provider.models import Application  # noqa: PLC0415 - configured by now

    for name, roles in ROLES.items():
        user = User.objects.create_user(name, f"{name}@example.com", PASSWORD)
        user.groups.set([Group.objects.get_or_create(name=role)[0] for role in roles])
    Application.objects.create(
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris="http://127.0.0.1/login/oidc/callback",  # a loopback address may have any port (RFC 8252)
        algorithm=Application.RS256_ALGORITHM,
        skip_authorization=True,
    )


def _validator() -> Any:
    from oauth2_provider.oauth2_validators import OAuth2Validator  # noqa: PLC0415 - configured by now

    class Validator(OAuth2Validator):  # type: ignore[misc]
        oidc_claim_scope = None

        def get_additional_claims(self, request: Any) -> dict[str, Any]:
            user = request.user
            return {
                "preferred_username": user.username,
                "faxhook": {"roles": [group.name for group in user.groups.order_by("id")]},
            }

    return Validator()


def _routes() -> list[Any]:
    from django.contrib.auth.views import LoginView  # noqa: PLC0415 - configured by now
    from django.urls import include, path  # noqa: PLC0415 - configured by now

    return [
        path("login/", LoginView.as_view()),
        path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    ]


class _Threaded(ThreadingMixIn, WSGIServer):
    """A thread for each connection: a browser opens some ahead and sends nothing on them, which must not hold it up."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


if __name__ == "__main__":
    _serve()
