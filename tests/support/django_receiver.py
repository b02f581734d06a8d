"""An application of Phaxio's as people write it: Django with django-phaxio, running on a free loopback port.

Django knows one set of settings in a process, so there is one application for all tests. Nothing of Django is imported
before it is wanted: code that only looks at an unconfigured `settings`, as the collector of doctests does, gets an error.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

TOKEN = "django-callback-token"


class _Quiet(WSGIRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


def _routes() -> list[Any]:
    from django.urls import include, path  # noqa: PLC0415 - only after the settings

    return [path("phaxio/", include("django_phaxio.urls", namespace="phaxio"))]


@contextmanager
def django_application() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the URL of its callback view and the list of what its signal was sent with."""
    from django.conf import settings  # noqa: PLC0415 - Django is configured by now

    if not settings.configured:
        settings.configure(
            SECRET_KEY="of no use here",
            ALLOWED_HOSTS=["127.0.0.1"],
            ROOT_URLCONF=type("Routes", (), {"urlpatterns": property(lambda _: _routes())})(),
            PHAXIO_CALLBACK_TOKEN=TOKEN,
            LOGGING_CONFIG=None,
        )
    import django  # noqa: PLC0415 - Django is configured by now
    from django.core.wsgi import get_wsgi_application  # noqa: PLC0415 - Django is configured by now

    django.setup()
    from django_phaxio.signals import phaxio_callback  # noqa: PLC0415 - Django is configured by now

    heard: list[dict[str, Any]] = []

    def hear(**told: Any) -> None:
        heard.append(told)

    phaxio_callback.connect(hear)
    server = make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/phaxio/callback/?account=1&tag=a%2Bb", heard
    finally:
        phaxio_callback.disconnect(hear)
        server.shutdown()
        thread.join()
        server.server_close()
