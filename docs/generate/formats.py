"""Writes `docs/formats.md`'s table of every provider's events in every format, from what really renders: `make docs`.

Each cell is tried: the sample callback goes through its adapter, the event through the format, and what comes out
through the reader that an application would have. A cell that fails ends the program; the table cannot be wishful.
"""

import email
import email.policy
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from dispatcher.channels.base import Attempt
from dispatcher.channels.mail.address import parse_mailbox
from dispatcher.channels.mail.content import wants_document
from dispatcher.channels.mail.render import render
from dispatcher.formats import FORMATS, Facts
from dispatcher.formats.tokens import new_token, public_key
from dispatcher.ops.listener.readers import READERS, Posted
from dispatcher.ops.simulator.samples import SAMPLES, make_sample
from dispatcher.ops.simulator.settings import SimulateSettings
from dispatcher.policy.routing import has_word
from shared.callback import Callback, Document, Parsed, SpoolFile
from shared.domain import Event, Media, utc_now
from shared.ids import uuid7
from shared.providers import ProviderSettings, make_adapters
from shared.settings import Secret

REPOSITORY: Final = Path(__file__).resolve().parents[2]

PAGE: Final = REPOSITORY / "docs" / "formats.md"
BEGIN: Final = "<!-- formats: written by `make docs` -->"
END: Final = "<!-- /formats -->"

RENDERED: Final = "rendered"
WITH_FILE: Final = "rendered, file"
NO_EQUIVALENT: Final = "no_equivalent"

_PUBLIC_URL: Final = "https://hooks.example.com"
_ENDPOINT_URL: Final = "https://app.example.com/hook?account=1"
_MAIL_URL: Final = "mailto:desk@example.com"
_SPOOL: Final = Path("/spool")
_TIFF: Final = b"II*\0 a page"
_PDF: Final = b"%PDF-1.4 a page"


@dataclass(frozen=True)
class SampleEvent:
    """A sample callback as the dispatcher gets it.

    Attributes:
        provider: As in `SAMPLES`.
        name: The sample's.
        document: What the media store would give back for the event's media.
    """

    provider: str
    name: str
    event: Event
    document: bytes | None


def sample_events(now: datetime) -> Iterator[SampleEvent]:
    """Yield an event for every sample of every provider, made by the adapters."""
    seed = new_token("telnyx-v2")
    secret = new_token("phaxio-v2.1")
    secrets = SimulateSettings(
        phaxio_callback_token=(Secret(secret),),
        telnyx_simulate_seed=Secret(seed),
        sinch_inbound_hmac_secret=(Secret(secret),),
        asterisk_inbound_secret=(Secret(secret),),
    )
    settings = ProviderSettings(
        phaxio_callback_tokens=(secret,),
        telnyx_public_keys=(public_key("telnyx-v2", seed) or "",),
        sinch_hmac_secrets=(secret,),
        asterisk_secrets=(secret,),
        asterisk_spool_dir=_SPOOL,
        public_url=_PUBLIC_URL,
    )
    adapters = make_adapters(settings)
    for provider, samples in SAMPLES.items():
        for name in samples:
            sent = make_sample(secrets, _PUBLIC_URL, provider, name, now=now, tiff_path=str(_SPOOL / "fax.tiff"))
            callback = Callback(
                route=sent.path,
                target=sent.target,
                query=dict(parse_qsl(sent.query)),
                headers=sent.headers,
                body=sent.body,
                received_at=now,
            )
            adapter = adapters[sent.path]
            parsed = adapter.parse(callback, adapter.verify(callback))
            document = _document(parsed)
            if document is None:
                yield SampleEvent(provider, name, parsed.event, None)
            else:
                event = msgspec.structs.replace(parsed.event, media=media_of(document))
                yield SampleEvent(provider, name, event, document.content)


def _document(parsed: Parsed) -> Document | None:
    """Return the document as it is there at the first attempt: what is named by URL has been fetched by then."""
    if isinstance(parsed.document, SpoolFile):
        return Document(content=_TIFF, content_type="image/tiff")
    if parsed.document is None and parsed.event.media is not None:
        return Document(content=_PDF, content_type="application/pdf")
    return parsed.document


def media_of(document: Document) -> Media:
    """Return what the ingress puts into the event for *document*."""
    digest = hashlib.sha256(document.content).hexdigest()
    return Media(key=digest, sha256=digest, bytes=len(document.content), content_type=document.content_type)


def cell(format_name: str, sample: SampleEvent, now: datetime) -> str:
    """Return what becomes of *sample* in a format; it is rendered, signed and verified to find out.

    Raises:
        RuntimeError: The format's own reader refuses what was rendered.
    """
    rendering = FORMATS[format_name]
    if not rendering.has_word_for(sample.event):
        return NO_EQUIVALENT
    document = sample.document if rendering.wants_document(sample.event) else None
    token = new_token(format_name)
    facts = Facts(url=_ENDPOINT_URL, tokens=(token,), delivery_id=uuid7(), attempt=1, now=now)
    webhook = rendering.render(sample.event, document, facts)
    posted = Posted(url=_ENDPOINT_URL, headers=webhook.headers, body=webhook.body, now=now.timestamp())
    told = READERS[format_name](posted, [token])
    if told.refused is not None or told.fax_id != sample.event.fax_id:
        raise RuntimeError(f"{sample.provider} {sample.name} in {format_name}: {told.refused or 'another fax'}")
    return RENDERED if told.file_bytes is None else WITH_FILE


def mail_cell(sample: SampleEvent, now: datetime) -> str:
    """Return what becomes of *sample* as an e-mail; it is rendered and read back to find out.

    Raises:
        RuntimeError: The mail does not say which fax it is about, or its attachment is another.
    """
    if not has_word(_MAIL_URL, "", sample.event):
        return NO_EQUIVALENT
    document = sample.document if wants_document(sample.event) else None
    attempt = Attempt(
        event=sample.event,
        document=document,
        url=_MAIL_URL,
        format="",
        tokens=(),
        timeout_seconds=15.0,
        delivery_id=uuid7(),
        command_id="",
        number=1,
        now=now,
    )
    mail = email.message_from_bytes(render(attempt, parse_mailbox("fax@example.com")), policy=email.policy.default)
    attached = [part.get_content() for part in mail.iter_attachments()]
    text = mail.get_body(("plain",))
    if text is None or sample.event.fax_id not in text.get_content() or attached != [document] * bool(document):
        raise RuntimeError(f"{sample.provider} {sample.name} as a mail: not what it should say")
    return WITH_FILE if attached else RENDERED


def table() -> str:
    """Return the Markdown table."""
    now = utc_now()
    columns = [*FORMATS, "e-mail"]
    lines = [f"| provider | event | type | {' | '.join(columns)} |", "|---" * (3 + len(columns)) + "|"]
    for sample in sample_events(now):
        cells = [*(cell(name, sample, now) for name in FORMATS), mail_cell(sample, now)]
        lines.append(f"| {sample.provider} | {sample.name} | `{sample.event.type}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def page_with_table(text: str) -> str:
    """Return the page's *text* with the table written again; unchanged where it has no place for one."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}" if begin and end else text


def main() -> None:
    """Write it."""
    PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
