"""A document that comes packed, or as another kind than PDF, is kept as an application can read it; or quarantined whole."""

import base64
import gzip
import hashlib
import json
from collections.abc import Callable

import callbacks
import pytest
from callbacks import SAMPLES, Outgoing
from ingresses import RunningIngress
from stores import take_all

from shared.broker import WORK_EVENTS

BASIC = json.loads((SAMPLES / "sinch/incoming_fax.multipart.meta.json").read_text())["basic_auth"]["header"]
FAX = {"id": "F1", "direction": "INBOUND", "status": "COMPLETED", "from": "+15550100101", "to": "+15550100102"}
PDF = b"%PDF-1.7\n" + bytes(range(256)) * 20
RTF = rb"{\rtf1\ansi A fax as a text.}"
PACKED = gzip.compress(PDF)


def in_a_part(content: bytes, head: str = "", end: bytes = b"\r\n") -> Outgoing:
    lines = [
        b'--b\nContent-Disposition: form-data; name="event"\n\nINCOMING_FAX',
        b'--b\nContent-Disposition: form-data; name="fax"\n\n' + json.dumps(FAX).encode(),
        f'--b\nContent-Disposition: form-data; name="file"; filename="fax.pdf"{head}\n\n'.encode(),
    ]
    body = b"\n".join(lines).replace(b"\n", end) + content + end + b"--b--" + end
    return Outgoing("/sinch-inbound", {"Content-Type": "multipart/form-data; boundary=b", "Authorization": BASIC}, body)


def in_json(content: bytes) -> Outgoing:
    body = {"event": "INCOMING_FAX", "fax": FAX, "file": base64.b64encode(content).decode(), "fileType": "PDF"}
    return Outgoing(
        "/sinch-inbound", {"Content-Type": "application/json", "Authorization": BASIC}, json.dumps(body).encode()
    )


@pytest.mark.parametrize(
    ("outgoing", "content", "kind"),
    [
        (in_a_part(PACKED, "\nContent-Transfer-Encoding: gzip"), PDF, "application/pdf"),
        (in_a_part(PACKED, "\nContent-Encoding: gzip\nContent-Type: application/pdf"), PDF, "application/pdf"),
        (in_a_part(PACKED, "\nContent-Type: application/gzip"), PDF, "application/pdf"),
        (in_a_part(gzip.compress(b"II*\0 a TIFF"), "\nContent-Type: application/pdf"), b"II*\0 a TIFF", "image/tiff"),
        (in_a_part(base64.b64encode(PACKED), "\nContent-Transfer-Encoding: base64"), PDF, "application/pdf"),
        (in_json(PACKED), PDF, "application/pdf"),
        (in_a_part(RTF, "\nContent-Type: application/pdf"), RTF, "application/rtf"),
        (in_a_part(RTF, "\nContent-Type: text/rtf"), RTF, "application/rtf"),
        (in_json(RTF), RTF, "application/rtf"),
        (in_a_part(PDF, "\nContent-Type: application/pdf", b"\n"), PDF, "application/pdf"),
        (in_a_part(PACKED, end=b"\n"), PDF, "application/pdf"),
    ],
    ids=[
        "packed, as its transfer encoding says",
        "packed, as its content encoding says",
        "packed, as its type says",
        "a packed TIFF, named a PDF",
        "packed, in base64",
        "packed, in JSON",
        "an RTF, named a PDF",
        "an RTF",
        "an RTF in JSON",
        "bare line feeds",
        "bare line feeds, packed",
    ],
)
async def test_the_document_is_kept_as_the_application_can_read_it(
    ingress: RunningIngress, amqp_url: str, outgoing: Outgoing, content: bytes, kind: str
) -> None:
    status, answer = await outgoing.send(ingress.http, ingress.url)
    assert (status, answer["status"]) == (200, "accepted")
    (message,) = await take_all(amqp_url, WORK_EVENTS)
    media = json.loads(message.body)["media"]
    assert (media["sha256"], media["content_type"]) == (hashlib.sha256(content).hexdigest(), kind)
    assert (ingress.media / media["key"]).read_bytes() == content


@pytest.mark.parametrize(
    ("packed", "reason"),
    [
        (lambda: PACKED[:-9], "the document is packed (gzip) and broken"),
        (lambda: PACKED[:40] + b"?" + PACKED[41:], "the document is packed (gzip) and broken"),
        (lambda: gzip.compress(b""), "the document is packed (gzip) and is empty"),
        (lambda: gzip.compress(bytes(40_000_000)), "the document is packed (gzip) and has more than 33554432 bytes"),
    ],
    ids=["breaks off", "damaged", "empty", "a bomb"],
)
@pytest.mark.parametrize("holder", [in_a_part, in_json])
async def test_what_cannot_be_unpacked_is_quarantined_whole_with_the_reason(
    ingress: RunningIngress,
    amqp_url: str,
    holder: Callable[[bytes], Outgoing],
    packed: Callable[[], bytes],
    reason: str,
) -> None:
    outgoing = holder(packed())
    status, answer = await outgoing.send(ingress.http, ingress.url)
    assert (status, answer["status"]) == (200, "quarantined")
    (message,) = await take_all(amqp_url, "dead.callbacks")
    kept = json.loads(message.body)
    assert kept["reason"] == reason
    assert (ingress.media / kept["body"]["key"]).read_bytes() == outgoing.body


async def test_a_form_of_phaxio_with_bare_line_feeds_is_verified_and_read(
    ingress: RunningIngress, amqp_url: str
) -> None:
    whole = callbacks.phaxio(1)
    bare = Outgoing(whole.target, whole.headers, whole.body.replace(b"\r\n", b"\n"))
    assert await bare.send(ingress.http, ingress.url) == await whole.send(ingress.http, ingress.url)
    assert len(await take_all(amqp_url, WORK_EVENTS)) == 2
