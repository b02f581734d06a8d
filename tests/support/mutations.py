"""Genuine callbacks of every provider, and hypothesis strategies that change them as broken or hostile senders would.

Random bytes get no further than the first check; a genuine callback with a few places changed gets everywhere.
"""

import json
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from urllib.parse import quote_plus

from adapters import GENUINE
from callbacks import PUBLIC_URL, SAMPLES, TELNYX_SEED
from hypothesis import strategies as st
from json_mutations import NAMES, TEXTS, changed_json, is_json
from made_samples import settings_of

from dispatcher.ops.simulator.samples import SAMPLES as SAMPLES_OF_PROVIDERS
from dispatcher.ops.simulator.samples import make_sample
from shared.forms import MULTIPART, URLENCODED, media_type, read_form

JSON_TYPE = "application/json"
BOUNDARY = "fuzz-boundary"
PHAXIO, PHAXIO_IN = "/phaxio-callback", "/phaxio-inbound"
TELNYX, SINCH, ASTERISK = "/telnyx-webhook", "/sinch-inbound", "/_internal/asterisk/inbound"


@dataclass(frozen=True)
class Part:
    """A field of a form; a file if it has a file name."""

    name: str
    value: bytes
    filename: str | None = None
    content_type: str | None = None


@dataclass(frozen=True)
class Sent:
    """A callback without its credentials."""

    route: str
    content_type: str | None
    body: bytes


@cache
def genuine() -> tuple[Sent, ...]:
    """Return every body that a provider is known to send, on its route."""
    found = [Sent(route, JSON_TYPE, json.dumps(body).encode()) for route, body in GENUINE.items()]
    for path in sorted((SAMPLES / "phaxio/wire").glob("*.json")):
        said = json.loads(path.read_text())
        found.append(
            Sent(PHAXIO, said["headers"]["Content-Type"], (path.parent / said["body_file"]).read_bytes()),
        )
    found += [
        Sent(PHAXIO, JSON_TYPE, b'{"fax": ' + path.read_bytes() + b', "success": true}')
        for path in sorted((SAMPLES / "phaxio/objects").glob("*.json"))
    ]
    found.append(Sent(PHAXIO_IN, JSON_TYPE, (SAMPLES / "faxbot/phaxio_inbound_docs_json.json").read_bytes()))
    found += [Sent(TELNYX, JSON_TYPE, path.read_bytes()) for path in sorted((SAMPLES / "telnyx/payloads").glob("*"))]
    meta = json.loads((SAMPLES / "sinch/incoming_fax.multipart.meta.json").read_text())
    found.append(Sent(SINCH, meta["content_type"], (SAMPLES / "sinch/incoming_fax.multipart.bin").read_bytes()))
    for name in ("sinch/incoming_fax", "sinch/fax_completed.outbound.derived", "sinch/faxbot_simplified"):
        found.append(Sent(SINCH, JSON_TYPE, (SAMPLES / f"{name}.json").read_bytes()))
    for case in json.loads((SAMPLES / "asterisk/inbound_bodies.json").read_text()):
        found.append(Sent(ASTERISK, JSON_TYPE, json.dumps(case["body"]).encode()))
    now = datetime(2026, 10, 3, 8, 0, tzinfo=UTC)
    settings = settings_of(
        phaxio_callback_token="t",
        telnyx_simulate_seed=b64encode(TELNYX_SEED).decode(),
        sinch_inbound_basic_user="u",
        sinch_inbound_basic_pass="p",
        asterisk_inbound_secret="a",
    )
    for provider, samples in SAMPLES_OF_PROVIDERS.items():
        for event in samples:
            sample = make_sample(settings, PUBLIC_URL, provider, event, now=now, tiff_path="/faxdata/in.tiff")
            found.append(Sent(sample.path, sample.headers["Content-Type"], sample.body))
    return tuple(found)


def parts_of(sent: Sent) -> list[Part]:
    form = read_form(sent.content_type, sent.body)
    parts = [Part(name, value.encode("utf-8", "surrogateescape")) for name, value in form.fields]
    return parts + [Part(each.name, each.content, each.filename or "", each.content_type) for each in form.files]


FILE_NAMES = st.sampled_from(["fax.pdf", "", "../../etc/passwd", 'a"b', "a\\b", "é.pdf", "x" * 300, "%22", "a;b=c"])
PART_TYPES = st.sampled_from(
    [None, "application/pdf", "text/plain; charset=utf-16", "application/json", "x", "a/b\x01"]
)
CONTENTS = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([b"", b"\0", b"\xff\xfe", b"\r\n--" + BOUNDARY.encode(), b"%PDF-1.4", b"II*\0", b"\xed\xa0\x80"]),
    TEXTS.map(lambda text: text.encode()),
)


@st.composite
def changed_parts(draw: st.DrawFn, parts: list[Part]) -> list[Part]:
    parts = list(parts)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(parts) - 1)) if parts else 0
        match draw(st.sampled_from(["drop", "twice", "value", "value", "rename", "file", "field", "add", "shuffle"])):
            case "drop" if parts:
                del parts[at]
            case "twice" if parts:
                parts.append(Part(parts[at].name, draw(CONTENTS), parts[at].filename, draw(PART_TYPES)))
            case "value" if parts:
                value = parts[at].value
                if value[:1] in {b"{", b"["} and is_json(value) and draw(st.booleans()):
                    value = draw(changed_json(value)).encode("utf-8", "surrogatepass")
                else:
                    value = draw(CONTENTS)
                parts[at] = Part(parts[at].name, value, parts[at].filename, parts[at].content_type)
            case "rename" if parts:
                parts[at] = Part(draw(NAMES), parts[at].value, parts[at].filename, parts[at].content_type)
            case "file" if parts:
                parts[at] = Part(parts[at].name, parts[at].value, draw(FILE_NAMES), draw(PART_TYPES))
            case "field" if parts:
                parts[at] = Part(parts[at].name, parts[at].value, None, draw(PART_TYPES))
            case "shuffle":
                parts = draw(st.permutations(parts))
            case _:
                parts.append(Part(draw(NAMES), draw(CONTENTS), draw(st.none() | FILE_NAMES), draw(PART_TYPES)))
    return parts


def as_multipart(parts: list[Part], boundary: str = BOUNDARY) -> bytes:
    lines = []
    for part in parts:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{part.name}"'
        head += "" if part.filename is None else f'; filename="{part.filename}"'
        head += "" if part.content_type is None else f"\r\nContent-Type: {part.content_type}"
        lines.append(head.encode("utf-8", "surrogatepass") + b"\r\n\r\n" + part.value + b"\r\n")
    return b"".join(lines) + f"--{boundary}--\r\n".encode()


def as_urlencoded(parts: list[Part]) -> bytes:
    return "&".join(
        f"{quote_plus(part.name, errors='surrogatepass')}={quote_plus(part.value)}" for part in parts
    ).encode()


CONTENT_TYPES = st.one_of(
    st.none(),
    st.text(max_size=30),
    st.sampled_from(
        [
            *(JSON_TYPE, URLENCODED, MULTIPART, "text/plain", "application/json; charset=utf-16", "application/x+json"),
            *(f"{MULTIPART}; boundary={BOUNDARY}", f'{MULTIPART}; boundary="{BOUNDARY}"', f"{MULTIPART}; boundary="),
            *(f"{MULTIPART};boundary={'x' * 71}", f"{MULTIPART}; boundary=é", "multipart/mixed; boundary=a", ";", "a/"),
        ]
    ),
)


@st.composite
def changed_bytes(draw: st.DrawFn, body: bytes) -> bytes:
    """Draw *body* cut, spliced, or in another encoding."""
    at = draw(st.integers(0, len(body)))
    text = body.decode("utf-8", "replace")
    return draw(
        st.one_of(
            st.sampled_from([body[:at], body + body[at:], b"\xef\xbb\xbf" + body, b"\r\n \t" + body]),
            st.sampled_from([text.encode("utf-16"), text.encode("latin-1", "replace")]),
            st.builds(lambda more, cut: body[:at] + more + body[at + cut :], CONTENTS, st.integers(0, 8)),
        )
    )


@st.composite
def changed_callbacks(draw: st.DrawFn, route: str | None = None) -> Sent:
    """Draw a genuine callback, of *route* or of any, changed somehow."""
    sent = draw(st.sampled_from([each for each in genuine() if route in {None, each.route}]))
    content_type = sent.content_type
    if media_type(content_type) == JSON_TYPE:
        body = draw(changed_json(sent.body)).encode("utf-8", "surrogatepass")
    else:
        parts = draw(changed_parts(parts_of(sent)))
        if draw(st.booleans()):
            content_type, body = f"{MULTIPART}; boundary={BOUNDARY}", as_multipart(parts)
        else:
            content_type, body = URLENCODED, as_urlencoded(parts)
    if draw(st.integers(0, 3)) == 0:
        body = draw(changed_bytes(body))
    if draw(st.integers(0, 3)) == 0:
        content_type = draw(CONTENT_TYPES)
    return Sent(sent.route, content_type, body)
