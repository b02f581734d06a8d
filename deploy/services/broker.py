"""What a private RabbitMQ has in common as a node and as a container: its URLs, its API, and whether it is ready."""

import base64
import json
import socket
import struct
import urllib.error
import urllib.request
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from deploy.services.processes import LOOPBACK, LocalError
from deploy.services.state import State

USER: Final = "faxhook"
VHOST: Final = "faxhook"
VARIABLE: Final = "AMQP_URL"
API_VARIABLE: Final = "RABBITMQ_API_URL"
START_SECONDS: Final = 120.0
"""9 s on an idle laptop; on a busy one several times that."""

MINIMUM_VERSION: Final = (3, 10)
"""Before it, quorum queues know no at-least-once dead lettering and no message TTL."""

HANDSHAKE_SECONDS: Final = 5.0
API_SECONDS: Final = 20.0

ERL_SETTINGS: Final = {
    "dead_letter_worker_publisher_confirm_timeout": 2000,  # ms; 180,000 by default, too long to see a recovery
    "dead_letter_worker_consumer_prefetch": 512,  # 32 by default: the retry queues' expiry would be slow
}
"""Of the application `rabbit`; rabbitmq.conf knows no names for them."""

_START: Final = (10, 10)
_TUNE: Final = (10, 30)
_OPEN_OK: Final = (10, 41)


def broker_urls(state: State) -> dict[str, str]:
    """The lines of the env file for the broker of *state*."""
    who = f"{USER}:{state.password}@{LOOPBACK}"
    return {VARIABLE: f"amqp://{who}:{state.port('amqp')}/{VHOST}", API_VARIABLE: f"http://{who}:{state.port('api')}"}


def broker_answers(state: State) -> bool:
    """Does it open a connection to our vhost with our password, and does its HTTP API answer too?"""
    try:
        shake_hands(state.port("amqp"), USER, state.password, VHOST)
        call_api(broker_urls(state)[API_VARIABLE], "GET", f"/api/vhosts/{VHOST}", seconds=HANDSHAKE_SECONDS)
    except (OSError, LocalError):
        return False
    return True


def broker_version(state: State) -> str:
    """Its version, asked of it."""
    overview = call_api(broker_urls(state)[API_VARIABLE], "GET", "/api/overview")
    return str(overview["rabbitmq_version"])


def shake_hands(port: int, user: str, password: str, vhost: str) -> None:
    """Open an AMQP 0-9-1 connection and drop it. Only that proves more than an open port.

    Raises:
        ConnectionError: It answered something else; a refused login or vhost shows as a closed connection.
        OSError: It did not answer.
    """
    with socket.create_connection((LOOPBACK, port), HANDSHAKE_SECONDS) as connection:
        connection.sendall(b"AMQP\x00\x00\x09\x01")
        _expect(connection, _START)
        login = _long(b"") + _short(b"PLAIN") + _long(f"\0{user}\0{password}".encode()) + _short(b"en_US")
        _send(connection, (10, 11), login)
        limits = _expect(connection, _TUNE)
        _send(connection, (10, 31), limits[:8])
        _send(connection, (10, 40), _short(vhost.encode()) + _short(b"") + b"\0")
        _expect(connection, _OPEN_OK)
        _send(connection, (10, 50), struct.pack(">H", 200) + _short(b"") + struct.pack(">HH", 0, 0))
        connection.settimeout(1.0)
        connection.recv(1024)  # close-ok, or the broker would log an abrupt end


def _short(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def _long(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


def _send(connection: socket.socket, method: tuple[int, int], arguments: bytes) -> None:
    payload = struct.pack(">HH", *method) + arguments
    connection.sendall(struct.pack(">BHI", 1, 0, len(payload)) + payload + b"\xce")


def _expect(connection: socket.socket, method: tuple[int, int]) -> bytes:
    kind, _, size = struct.unpack(">BHI", _read(connection, 7))
    payload = _read(connection, size + 1)[:-1]
    if kind != 1 or struct.unpack(">HH", payload[:4]) != method:
        raise ConnectionError(f"unexpected AMQP frame {kind} {payload[:4].hex()}")
    return payload[4:]


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise ConnectionError("closed by the broker")
        data += more
    return data


def call_api(api_url: str, method: str, path: str, body: object = None, seconds: float = API_SECONDS) -> Any:
    """Call RabbitMQ's management HTTP API; return what it answers, None if that is nothing.

    Args:
        api_url: With user and password in it.
        method: GET, PUT, DELETE, …
        path: From `/api` on, quoted.
        body: Becomes JSON.
        seconds: How long to wait for an answer.

    Raises:
        LocalError: It answered an error, or nothing.
    """
    parts = urlsplit(api_url)
    if parts.scheme not in {"http", "https"}:
        raise LocalError("RABBITMQ_API_URL must begin with http:// or https://")
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
    login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    request = urllib.request.Request(  # noqa: S310  (the scheme was looked at)
        address + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": "Basic " + base64.b64encode(login.encode()).decode(),
            "Content-Type": "application/json",
        },
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy of the environment knows loopback
    try:
        with direct.open(request, timeout=seconds) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        detail = error.read(500).decode(errors="replace")
        error.close()
        raise LocalError(f"RabbitMQ's API answered {error.code} to {method} {path}: {detail}") from None
    except OSError as error:  # URLError is one
        raise LocalError(f"RabbitMQ's API at {address} does not answer ({error}). Is it up?") from error
    return json.loads(text) if text else None


def create_vhost(api_url: str, name: str) -> None:
    """Create the vhost *name*, all of it permitted to the user of *api_url*. One that exists stays as it is."""
    vhost = quote(name, safe="")
    user = urlsplit(api_url).username or ""  # still quoted
    call_api(api_url, "PUT", f"/api/vhosts/{vhost}", {})
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    call_api(api_url, "PUT", f"/api/permissions/{vhost}/{user}", everything)


def delete_vhost(api_url: str, name: str) -> None:
    """Delete the vhost *name* with all that is in it. None by that name is no error."""
    try:
        call_api(api_url, "DELETE", f"/api/vhosts/{quote(name, safe='')}")
    except LocalError as error:
        if "answered 404" not in str(error):
            raise


def vhost_url(amqp_url: str, name: str) -> str:
    """Return *amqp_url* with its vhost replaced.

    >>> vhost_url("amqp://u:p@127.0.0.1:5672/faxhook", "test/1")
    'amqp://u:p@127.0.0.1:5672/test%2F1'
    """
    return urlsplit(amqp_url)._replace(path="/" + quote(name, safe="")).geturl()
