"""`faxhook document` saves what the API and the console save: to those who ask, in new files, each look audited."""

import stat
from pathlib import Path

import pytest
from apis import faxhook
from dead_letters import quarantine_callback
from dispatchers import DispatcherHarness, an_event

from dispatcher.ops.simulator.documents import sample_pdf
from shared.domain import EventType
from shared.media import MediaStore

AUDITED = "SELECT who, what, subject FROM audit WHERE what LIKE 'document.%' ORDER BY id"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that commands are run in."""
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


async def test_the_documents_of_a_fax_are_saved_for_their_reader_alone_and_none_is_overwritten(
    harness: DispatcherHarness, store: MediaStore, folder: Path
) -> None:
    content = sample_pdf("a referral")
    media = await store.put(content, "application/pdf")
    await harness.take(an_event(1, EventType.RECEIVED, media=media), an_event(2, EventType.RECEIVED))
    key = media.key or ""
    environment = harness.environment | {"COLUMNS": "60"}
    code, out, _ = await faxhook(environment, "document", "phaxio:1")
    (saved,) = folder.iterdir()
    assert (code, saved.name) == (0, f"document-{key[3:15]}.pdf")
    assert out == f"{saved.name}  application/pdf, {len(content):,} bytes\n"
    assert saved.read_bytes() == content
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    saved.write_bytes(b"mine")
    for arguments in (("phaxio:1",), (key,), (key, "--to", saved.name)):
        code, _, err = await faxhook(environment, "document", *arguments)
        assert (code, "is there already" in err) == (65, True), err
    assert saved.read_bytes() == b"mine"
    code, out, _ = await faxhook(environment, "document", key, "--to", "new.pdf", "--json")
    assert (code, '"path": "new.pdf"' in out, (folder / "new.pdf").read_bytes()) == (0, True, content)
    lines = [tuple(line) for line in await harness.pool.fetch(AUDITED)]
    assert lines[0] == ("cli", "document.read", "phaxio:1")
    assert lines[-1] == ("cli", "document.read", key)

    for wrong, said in (
        (("phaxio:2",), "there is no document of the fax `phaxio:2`"),
        (("phaxio:3",), "there is no fax, event, delivery or job `phaxio:3`"),
        (("ab/" + 64 * "0",), "there is no document"),
        (("../../etc/passwd",), "there is no fax, event, delivery or job"),
        ((key, "--to", "none/new.pdf"), "none/new.pdf cannot be written: No such file or directory"),
        ((key, "--to", "-", "--json"), "--json and --to - contradict each other"),
    ):
        code, _, err = await faxhook(environment, "document", *wrong)
        assert (code, said in err) == (65, True), (wrong, err)
    code, _, err = await faxhook(environment | {"MEDIA_URL": ""}, "document", key)
    assert (code, "MEDIA_URL" in err) == (78, True)
    assert sorted(each.name for each in folder.iterdir()) == sorted([saved.name, "new.pdf"])


async def test_a_raw_callback_goes_to_standard_output_and_its_dead_letter_names_the_command(
    harness: DispatcherHarness, tmp_path: Path, folder: Path
) -> None:
    callback_id = await quarantine_callback(harness, tmp_path / "media", b'{"unreadable": "<script>"}')
    _, shown, _ = await faxhook(harness.environment, "dead", "show", callback_id)
    key = shown.partition("`faxhook document ")[2].partition("`")[0]
    code, out, _ = await faxhook(harness.environment, "document", key, "--to", "-")
    assert (code, out) == (0, '{"unreadable": "<script>"}')
    assert [line["subject"] for line in await harness.pool.fetch(AUDITED)] == [key]


async def test_nothing_is_saved_that_cannot_be_audited(
    harness: DispatcherHarness, store: MediaStore, folder: Path
) -> None:
    media = await store.put(b"%PDF-1.4 secret", "application/pdf")
    await harness.pool.execute("ALTER TABLE audit RENAME TO audit_away")
    code, out, _ = await faxhook(harness.environment, "document", media.key or "")
    assert (code != 0, "secret" in out, list(folder.iterdir())) == (True, False, [])


async def test_a_document_needs_no_broker(harness: DispatcherHarness, store: MediaStore, folder: Path) -> None:
    media = await store.put(b"%PDF-1.4", "application/pdf")
    environment = harness.environment | {"AMQP_URL": ""}
    assert (await faxhook(environment, "document", media.key or ""))[0] == 0
