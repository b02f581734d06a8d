"""Disks under the ingress that hang or are full: 503 in time for what needs them, and other providers do not notice."""

import asyncio
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import callbacks
import pytest
from callbacks import SAMPLES, Outgoing
from ingresses import RunningIngress, serving_ingress
from processes import SECRETS
from stores import count, take_all

import shared.documents
import shared.media
from shared.broker import WORK_EVENTS
from shared.domain import decode_event


def with_document() -> Outgoing:
    meta = json.loads((SAMPLES / "sinch/incoming_fax.multipart.meta.json").read_text())
    return Outgoing(
        "/sinch-inbound",
        {"Content-Type": meta["content_type"], "Authorization": meta["basic_auth"]["header"]},
        (SAMPLES / "sinch/incoming_fax.multipart.bin").read_bytes(),
    )


def asterisk(path: str) -> Outgoing:
    body = json.dumps({"tiff_path": path, "to_number": "+15551234567", "faxstatus": "SUCCESS", "uniqueid": path})
    return Outgoing(
        "/_internal/asterisk/inbound", {"X-Internal-Secret": SECRETS["ASTERISK_INBOUND_SECRET"]}, body.encode()
    )


@pytest.mark.alone  # it asserts seconds
async def test_while_the_media_disk_hangs_documents_are_503_in_time_and_all_else_is_accepted(
    ingress: RunningIngress, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    sync = shared.media._sync
    monkeypatch.setattr(shared.media, "_sync", lambda path: (release.wait(60), sync(path)))

    async def timed(outgoing: Outgoing) -> tuple[int, float]:
        started = time.monotonic()
        status, _ = await outgoing.send(ingress.http, ingress.url)
        return status, time.monotonic() - started

    try:
        hanging = [asyncio.create_task(timed(with_document())) for _ in range(30)]
        others = await asyncio.gather(*(timed(callbacks.phaxio(number)) for number in range(30)))
        assert {status for status, _ in others} == {200}
        assert not any(task.done() for task in hanging), "the others did not wait for them"
        answers = await asyncio.gather(*hanging)
        assert {status for status, _ in answers} == {503}
        assert max(seconds for _, seconds in answers) < 2.0
    finally:
        release.set()
    assert (await timed(with_document()))[0] == 200


async def test_while_the_spool_hangs_large_callbacks_of_the_others_are_accepted(
    amqp_url: str, tmp_path: Path, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()

    def hang(*_arguments: object) -> str:
        release.wait(60)
        return "missing"

    monkeypatch.setattr(shared.documents, "read_spool_file", hang)
    large = callbacks.phaxio(1, note="x" * 300_000)
    settings = {**SECRETS, "ASTERISK_SPOOL_DIR": str(tmp_path)}
    async with serving_ingress(amqp_url, tmp_path / "media", unused_tcp_port, **settings) as running:
        faxes = [asterisk(f"{tmp_path}/{number}.tiff") for number in range(40)]
        hanging = [asyncio.create_task(each.send(running.http, running.url)) for each in faxes]
        try:
            assert (await large.send(running.http, running.url))[0] == 200
            assert not any(task.done() for task in hanging)
            assert {status for status, _ in await asyncio.gather(*hanging)} == {503}
        finally:
            release.set()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=False).returncode
    ):
        pytest.skip("only root may mount a small disk; test_media_trouble.py limits the size of files instead")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


async def test_a_full_media_disk_is_503_and_with_room_again_the_same_callback_is_accepted(
    amqp_url: str, small_disk: Path, unused_tcp_port: int
) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(bytes(60 * 1024))
    outgoing = with_document()
    async with serving_ingress(amqp_url, small_disk / "media", unused_tcp_port, **SECRETS) as running:
        size = len(outgoing.body)
        (small_disk / "more").write_bytes(bytes(max(0, 4096 - size)))
        status, answer = await outgoing.send(running.http, running.url)
        assert (status, answer["error"]) == (503, "unavailable")
        assert (await callbacks.phaxio(1).send(running.http, running.url))[0] == 200, "it needs no disk"
        assert await count(amqp_url, WORK_EVENTS) == 1
        filler.unlink()
        assert (await outgoing.send(running.http, running.url))[0] == 200
        events = [decode_event(message.body) for message in await take_all(amqp_url, WORK_EVENTS)]
        (media,) = [event.media for event in events if event.media is not None]
        assert (running.media / media.key).stat().st_size == media.bytes
