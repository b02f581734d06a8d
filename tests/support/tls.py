"""TLS before the tests' broker: it ends here, and the bytes go on to the broker."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

from certificates import Certificate
from proxy import Proxy


@asynccontextmanager
async def behind_tls(amqp_url: str, certificate: Certificate) -> AsyncIterator[str]:
    """Yield an `amqps://` URL that leads to the broker of *amqp_url* through a server with *certificate*."""
    parts = urlsplit(amqp_url)
    assert parts.hostname is not None
    assert parts.port is not None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.certificate, certificate.key)
    proxy = Proxy(parts.hostname, parts.port)
    server = await asyncio.start_server(proxy.handle, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    user_info = parts.netloc.rpartition("@")[0]
    try:
        yield urlunsplit(parts._replace(scheme="amqps", netloc=f"{user_info}@127.0.0.1:{port}"))
    finally:
        server.close()
        await proxy.close()
