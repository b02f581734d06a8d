"""A relay: a real aiosmtpd that keeps the mails it accepts and answers as the test says."""

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from waiting import until

Hook = Callable[["Relay", Any], str | Awaitable[str]]
"""What is given the relay and aiosmtpd's server of one connection, and gives the answer."""


@dataclass(frozen=True)
class ReceivedMail:
    """One mail as the relay accepted it."""

    sender: str
    recipients: list[str]
    content: bytes
    is_encrypted: bool
    user: bytes | None

    @property
    def message(self) -> EmailMessage:
        parsed = message_from_bytes(self.content, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed


class Relay:
    """What came so far, and how it answers: with 250 unless a hook says otherwise.

    Attributes:
        connections: Made so far.
        most_open: Most connections that were open at once.
    """

    def __init__(self) -> None:
        self.mails: list[ReceivedMail] = []
        self.connections = 0
        self.most_open = 0
        self.commands: list[str] = []
        self.port = 0
        self.on_mail: Hook | None = None
        self.on_rcpt: Hook | None = None
        self.on_data: Hook | None = None
        self.on_quit: Hook | None = None
        self.open: set[asyncio.Transport] = set()

    async def got(self, count: int, seconds: float = 15.0) -> list[ReceivedMail]:
        """Wait until *count* mails have come and return all."""
        await until(lambda: len(self.mails) >= count, f"{count} mails", seconds)
        return list(self.mails)

    async def handle_MAIL(self, server, _session, envelope, address, _options):  # noqa: N802 - aiosmtpd's name
        self.commands.append("MAIL")
        answer = await self._hooked(self.on_mail, server)
        if answer.startswith("250"):
            envelope.mail_from = address
        return answer

    async def handle_RCPT(self, server, _session, envelope, address, _options):  # noqa: N802 - aiosmtpd's names
        self.commands.append("RCPT")
        answer = await self._hooked(self.on_rcpt, server)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_QUIT(self, server, _session, _envelope):  # noqa: N802 - aiosmtpd's names
        self.commands.append("QUIT")
        return "221 Bye" if self.on_quit is None else await self._hooked(self.on_quit, server)

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's names
        answer = await self._hooked(self.on_data, server)
        if answer.startswith("250"):
            user = session.auth_data.login if session.auth_data else None
            content, is_encrypted = envelope.original_content, session.ssl is not None
            self.mails.append(ReceivedMail(envelope.mail_from, envelope.rcpt_tos, content, is_encrypted, user))
        return answer

    async def _hooked(self, hook: Hook | None, server: Any) -> str:
        if hook is None:
            return "250 2.0.0 fine"
        answer = hook(self, server)
        return answer if isinstance(answer, str) else await answer


class _Server(SMTP):
    """aiosmtpd's, counted."""

    def __init__(self, relay: Relay, **options: Any) -> None:
        super().__init__(relay, hostname="relay.example.com", **options)
        self._relay = relay

    def connection_made(self, transport):
        if self.session is None:  # else it is STARTTLS
            self._relay.connections += 1
        self._relay.open.add(transport)
        self._relay.most_open = max(self._relay.most_open, len(self._relay.open))
        super().connection_made(transport)

    def connection_lost(self, error):
        self._relay.open.discard(self.transport)
        super().connection_lost(error)

    async def push(self, status):
        if self.transport is not None and not self.transport.is_closing():
            await super().push(status)


def hang_up(_relay: Relay, server: Any) -> str:
    """Hook: the connection ends without an answer."""
    server.transport.abort()
    return "250 not heard by the client"


def login_of(user: str, password: str) -> dict[str, Any]:
    """Return the options of a relay that insists on this login."""

    def authenticate(_server, _session, _envelope, _mechanism, data):
        is_right = isinstance(data, LoginPassword) and data == LoginPassword(user.encode(), password.encode())
        return AuthResult(success=is_right, handled=False, auth_data=data if is_right else None)

    return {"authenticator": authenticate, "auth_required": True}


@asynccontextmanager
async def relaying(
    *, implicit_tls: ssl.SSLContext | None = None, port: int = 0, **options: Any
) -> AsyncIterator[Relay]:
    """Run a relay on a loopback port; *options* are aiosmtpd's."""
    relay = Relay()
    loop = asyncio.get_running_loop()
    servers: list[_Server] = []

    def serve() -> _Server:
        servers.append(_Server(relay, loop=loop, **options))
        return servers[-1]

    listener = await loop.create_server(serve, "127.0.0.1", port, ssl=implicit_tls)
    relay.port = listener.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        listener.close()
        for transport in list(relay.open):
            if not transport.is_closing():  # Python 3.11.2 aborts no TLS transport that was closed twice
                transport.abort()
        handlers = [each._handler_coroutine for each in servers if each._handler_coroutine is not None]
        for handler in handlers:
            handler.cancel()
        if handlers:
            await asyncio.wait(handlers, timeout=5.0)
        await listener.wait_closed()


@asynccontextmanager
async def talking(*answers: str) -> AsyncIterator[int]:
    """Run a server that greets each connection with the first of *answers* and answers each line with the next."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for answer in answers:
                writer.write(answer.encode() + b"\r\n")
                await reader.readline()
        except OSError:
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


@dataclass(frozen=True)
class Authority:
    """A certificate authority of our own, and a certificate for the loopback address."""

    ca_file: Path
    server: ssl.SSLContext
    client: ssl.SSLContext


def make_authority(folder: Path) -> Authority:
    """Make an authority in *folder*."""
    now = dt.datetime.now(dt.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "faxhook test authority")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "relay")])
    usage = {
        **dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False),
        **dict.fromkeys(("encipher_only", "decipher_only"), False),
    }

    def building(subject, public_key):
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
        )

    ca = (
        building(ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, **usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    certificate = (
        building(name, key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    ca_file, chain_file = folder / "ca.pem", folder / "relay.pem"
    ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    chain_file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain_file)
    return Authority(ca_file, server, ssl.create_default_context(cafile=ca_file))
