"""Phaxio's callbacks as Phaxio and Faxbot send them, and the adapters that take them."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

from multidict import CIMultiDict

from shared.callback import Callback, Parsed
from shared.domain import decode_event, encode_event
from shared.providers.phaxio.adapter import PhaxioAdapter
from shared.signatures import sign_body, sign_phaxio

SAMPLES = Path(__file__).parents[1] / "samples"
WIRE = SAMPLES / "phaxio" / "wire"
OBJECTS = SAMPLES / "phaxio" / "objects"
FAXBOT = SAMPLES / "faxbot"
VECTORS = json.loads((SAMPLES / "phaxio" / "signature_vectors.json").read_text())["vectors"]

TOKEN = "0123456789"
SECRET = "faxbot-api-secret"
PUBLIC_URL = "https://hooks.example.com"
URLENCODED = "application/x-www-form-urlencoded"
NOW = datetime(2026, 10, 3, 12, tzinfo=UTC)
BOTH = PhaxioAdapter(callback_tokens=[TOKEN], api_secrets=[SECRET], public_url=PUBLIC_URL)
OWN = PhaxioAdapter(callback_tokens=[TOKEN], api_secrets=[], public_url=PUBLIC_URL)
BODY = PhaxioAdapter(callback_tokens=[], api_secrets=[SECRET], public_url="")
DONE = {"id": 1, "status": "success", "direction": "sent", "completed_at": 1435602496}


def callback(body, content_type, signature, *, target="/phaxio-callback", query=None, name="X-Phaxio-Signature"):
    headers = CIMultiDict({} if content_type is None else {"content-type": content_type})
    if signature is not None:
        headers[name] = signature
    return Callback(
        route=target.partition("?")[0], target=target, query=query or {}, headers=headers, body=body, received_at=NOW
    )


def multipart(fields, files=()):
    """Return content type and body; files are (name, content) or (name, content, filename, type)."""
    lines = []
    for name, value in fields:
        octets = value.encode("utf-8", "surrogateescape")
        lines.append(b'--b0\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (name.encode(), octets))
    for name, content, *more in files:
        filename, kind = more or ("f.pdf", "application/pdf")
        head = f'--b0\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\nContent-Type: {kind}'
        lines.append(head.encode() + b"\r\n\r\n" + content + b"\r\n")
    return "multipart/form-data; boundary=b0", b"".join(lines) + b"--b0--\r\n"


def by_phaxio(fields, files=(), *, target="/phaxio-callback", **more):
    """Return a callback as Phaxio signs it."""
    content_type, body = multipart(fields, files)
    signature = sign_phaxio(TOKEN, PUBLIC_URL + target, fields, [file[:2] for file in files])
    return callback(body, content_type, signature, target=target, **more)


def by_faxbot(body, content_type="application/json", **more):
    """Return a callback as Faxbot 2025 signs it; anything but bytes is sent as JSON."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return callback(body, content_type, sign_body(SECRET, body), **more)


def take(received, adapter=BOTH) -> Parsed:
    parsed = adapter.parse(received, adapter.verify(received))
    assert decode_event(encode_event(parsed.event)) == parsed.event, "an event survives the broker"
    assert parsed.event.phase is parsed.event.type.phase
    return parsed


def event_of(fields, **more):
    return take(by_phaxio(fields, **more)).event


def wire(name):
    said = json.loads((WIRE / f"{name}.json").read_text())
    body = (WIRE / said["body_file"]).read_bytes()
    target = said["url"].removeprefix(PUBLIC_URL)
    return callback(body, said["headers"]["Content-Type"], said["headers"]["X-Phaxio-Signature"], target=target)


def fax(**keys):
    return ("fax", json.dumps(DONE | keys))


def digest(*parts):
    return "phaxio:" + hashlib.sha256("".join(f"{len(part)}:{part}," for part in parts).encode()).hexdigest()[:32]
