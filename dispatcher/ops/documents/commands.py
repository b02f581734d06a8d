"""`faxhook document`: saves a document of a fax, or the raw body of a callback that could not be parsed."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.text import Text

from dispatcher.ledger.pool import Pool, open_command_pool
from dispatcher.ops.api.audit import CLI
from dispatcher.ops.api.lookups import NoSuch
from dispatcher.ops.contradictions import contradiction
from dispatcher.ops.documents.content import is_key, name_of, type_of
from dispatcher.ops.documents.service import DocumentService, Look
from dispatcher.ops.documents.settings import ContentSettings
from dispatcher.ops.faxes.bodies import documents_of
from dispatcher.ops.faxes.commands import find_story
from dispatcher.ops.faxes.reader import FaxReader
from dispatcher.ops.files import write_new
from dispatcher.ops.terminal import Json, console, print_json, run, settings_of
from dispatcher.ops.words import counted, printable
from shared.errors import EXIT_BAD_INPUT, FaxhookError
from shared.media import MediaStore
from shared.settings import BadSetting

STANDARD_OUTPUT: Final = "-"


class NotWritten(FaxhookError):
    """A file that is there already, or cannot be written, or that would hold several documents."""

    code = "not_written"
    exit_code = EXIT_BAD_INPUT


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """A document and where it is now. *path*: None: it went to standard output."""

    key: str
    path: str | None
    bytes: int
    content_type: str


def document_command(
    text: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="A fax, as PROVIDER:FAX_ID or by an id of its own; or the key of a document or of a raw callback.",
        ),
    ],
    to: Annotated[
        str | None, typer.Option(help="The file; - is standard output. Else named after the document, in this folder.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Save a fax's documents, or the raw body of a callback that could not be parsed. Each look is in the audit.

    MEDIA_URL says where they are kept. Files are for you alone (0600), and none is overwritten. `faxhook dead show`
    and `faxhook deliveries show --attempt` name keys.
    """
    if as_json and to == STANDARD_OUTPUT:
        contradiction("--json", "--to -", "both would write to standard output")
    settings = settings_of(ContentSettings)

    async def work() -> list[Saved]:
        if settings.media_url is None:
            raise BadSetting("MEDIA_URL is missing: it says where documents are kept")
        pool = await open_command_pool(settings.database_url.reveal(), size=1)
        try:
            looks = await _looks(pool, text.strip())
            documents = DocumentService(pool, MediaStore(settings.media_url))
            return await _save(documents, looks, to)
        finally:
            await pool.close()

    saved = run(work())
    if as_json:
        print_json({"items": saved})
    elif to != STANDARD_OUTPUT:
        for each in saved:
            line = f"{each.path}  {each.content_type}, {counted(each.bytes, 'byte')}"
            console.print(Text(printable(line)), soft_wrap=True)


async def _looks(pool: Pool, text: str) -> list[Look]:
    """Return the documents that *text* means: the one of this key, or those of a fax."""
    if is_key(text):
        return [Look(CLI, text)]
    story = await find_story(FaxReader(pool), text)
    looks = [Look(CLI, key, event_id) for key, (event_id, _) in documents_of(story).items()]
    if not looks:
        raise NoSuch("document of the fax", f"{story.provider}:{story.fax_id}")
    return looks


async def _save(documents: DocumentService, looks: Sequence[Look], to: str | None) -> list[Saved]:
    if to is not None and len(looks) > 1:
        keys = ", ".join(look.key for look in looks)
        raise NotWritten(f"--to is one file, and the fax has {len(looks)} documents: name one of {keys}")
    saved = []
    for look in looks:
        content = await documents.read(look)
        path = None if to == STANDARD_OUTPUT else Path(to or name_of(look.key, content))
        _write(path, content)
        where = None if path is None else str(path)
        saved.append(Saved(key=look.key, path=where, bytes=len(content), content_type=type_of(content)))
    return saved


def _write(path: Path | None, content: bytes) -> None:
    """Write *content* whole or not at all; None: to standard output."""
    if path is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    try:
        write_new(path, content)
    except FileExistsError:
        raise NotWritten(f"{printable(str(path))} is there already: it was not overwritten") from None
    except OSError as error:
        raise NotWritten(f"{printable(str(path))} cannot be written: {error.strerror}") from error
