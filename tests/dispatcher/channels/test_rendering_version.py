"""What formats and mails write is the same, byte for byte, as long as `RENDERING` is the same number."""

import hashlib
from collections.abc import Iterable, Iterator
from uuid import UUID

import msgspec
from format_cases import NOW, URL, minimal_events

from dispatcher.channels.base import Attempt
from dispatcher.channels.mail.address import Mailbox
from dispatcher.channels.mail.render import MailFormat
from dispatcher.channels.mail.render import render as render_mail
from dispatcher.channels.webhook import render as render_webhook
from dispatcher.formats import FORMATS
from dispatcher.formats.base import RENDERING
from docs.generate.formats import SampleEvent
from shared.domain import EventType, Failure, Media

WRITTEN = {1: "08d159711a7cea17d9c9af20d5197b517649d46a8549f47aadffb6659aecfe41"}
"""By version, the digest of every sample in every format. An attempt of an older version is shown by that version's
code: to change a byte, count `RENDERING` up, keep the old code, and add a line here."""

ADDED = {EventType.STALLED: "0933d0b61e62100922daf294de78426a08a6bc348a9e83ff8e5df7eed54efc54"}
"""The same of types that came later than their version: no attempt of an older version has them."""

TOKEN = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
DELIVERY = UUID("0199d2a1-4c3e-7b52-9f10-6a3c55e0d1aa")


def an_attempt(sample: SampleEvent, format_name: str, document: bytes | None, url: str) -> Attempt:
    return Attempt(
        event=sample.event,
        document=document,
        url=url,
        format=format_name,
        tokens=(TOKEN,),
        timeout_seconds=1.0,
        delivery_id=DELIVERY,
        command_id="0199d2a1-4c3e-5b52-9f10-6a3c55e0d1aa",
        number=2,
        now=NOW,
    )


def events() -> Iterator[SampleEvent]:
    """Yield events of every type and provider, bare and with all that the formats have words for."""
    document = b"%PDF-1.7\r\n" + bytes(range(256))
    media = Media(key="aa/aa", sha256="aa", bytes=len(document), content_type="application/pdf")
    for bare in minimal_events():
        yield bare
        event = msgspec.structs.replace(
            bare.event,
            occurred_at=NOW,
            from_number="+15550100101",
            to_number="+15550100102",
            pages=3,
            failure=Failure(type="lineError", code="17", message="Besetzt — “busy”"),
            job_id="referral-4711",
            client_state="c3RhdGU=",
            is_test=True,
            partial=True,
            media=media,
            fields={"fax": {"id": 7, "tags": {"a": "ä"}, "cost": 7}, "page": 2, "payload": {"x": 1}, "event_type": "x"},
        )
        yield SampleEvent(bare.provider, f"full-{bare.name}", event, document)


def digest_of(samples: Iterable[SampleEvent]) -> str:
    digest, count = hashlib.sha256(), 0
    for sample in samples:
        for name, rendering in FORMATS.items():
            if rendering.has_word_for(sample.event):
                document = sample.document if rendering.wants_document(sample.event) else None
                headers, body = render_webhook(an_attempt(sample, name, document, URL), URL)
                digest.update(repr(headers).encode() + body)
                count += 1
        if MailFormat().has_word_for(sample.event):
            mail = an_attempt(sample, "", sample.document, "mailto:desk@example.com")
            digest.update(render_mail(mail, Mailbox("fax@example.net", "Faxe Köln")))
    assert count >= 8
    return digest.hexdigest()


def test_a_changed_byte_needs_a_new_number() -> None:
    assert digest_of(each for each in events() if each.event.type not in ADDED) == WRITTEN[RENDERING]
    for event_type, written in ADDED.items():
        assert digest_of(each for each in events() if each.event.type is event_type) == written
