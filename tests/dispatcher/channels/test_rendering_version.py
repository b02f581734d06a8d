"""What formats and mails write is the same, byte for byte, as long as `RENDERING` is the same number."""

import hashlib
from uuid import UUID

from format_cases import EVENTS, NOW, URL

from dispatcher.channels.base import Attempt
from dispatcher.channels.mail.address import Mailbox
from dispatcher.channels.mail.render import MailFormat
from dispatcher.channels.mail.render import render as render_mail
from dispatcher.channels.webhook import render as render_webhook
from dispatcher.formats import FORMATS
from dispatcher.formats.base import RENDERING
from docs.generate.formats import SampleEvent

WRITTEN = {1: "cd28321de1fd79f5a2fba9523dd85b72eda989dfedc0d1de905b2423591d8335"}
"""By version, the digest of every sample in every format. An attempt of an older version is shown by that version's
code: to change a byte, count `RENDERING` up, keep the old code, and add a line here."""

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


def test_a_changed_byte_needs_a_new_number() -> None:
    digest, count = hashlib.sha256(), 0
    for sample in EVENTS:
        for name, rendering in FORMATS.items():
            if rendering.has_word_for(sample.event):
                document = sample.document if rendering.wants_document(sample.event) else None
                headers, body = render_webhook(an_attempt(sample, name, document, URL), URL)
                digest.update(repr(headers).encode() + body)
                count += 1
        if MailFormat().has_word_for(sample.event):
            mail = an_attempt(sample, "", sample.document, "mailto:desk@example.com")
            digest.update(render_mail(mail, Mailbox("fax@example.net", "Faxe Köln")))
    assert count > 100
    assert digest.hexdigest() == WRITTEN[RENDERING]
