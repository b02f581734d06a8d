"""A media store whose disk hangs or is full refuses in time, and what is under way is bounded."""

import asyncio
import resource
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import obstore
import pytest
from waiting import until

import shared.media
from shared.media import MOST_UNDER_WAY, MediaStore, MediaUnavailable

Release = Callable[[], None]


@pytest.fixture(params=["write", "flush"])
async def hung(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Release]:
    """A disk that hangs as it is written to, or as it is flushed, until it is released."""
    writing, flushing = asyncio.Event(), threading.Event()
    put, sync = obstore.put_async, shared.media._sync

    async def put_later(*arguments: object) -> None:
        await writing.wait()
        await put(*arguments)

    def sync_later(path: Path) -> None:
        flushing.wait(60)
        sync(path)

    def release() -> None:
        writing.set()
        flushing.set()

    if request.param == "write":
        monkeypatch.setattr(shared.media.obstore, "put_async", put_later)
    else:
        monkeypatch.setattr(shared.media, "_sync", sync_later)
    yield release
    release()


async def test_a_disk_that_hangs_costs_each_document_its_timeout_then_nothing_and_comes_back(
    hung: Release, tmp_path: Path
) -> None:
    store = MediaStore(tmp_path.as_uri())
    refused = await asyncio.gather(
        *(store.put(b"%d" % number, "a/b", 0.2) for number in range(MOST_UNDER_WAY)), return_exceptions=True
    )
    assert all(isinstance(each, MediaUnavailable) for each in refused)
    assert not store.is_ready
    started = time.monotonic()
    with pytest.raises(MediaUnavailable):
        await store.put(b"one more", "a/b", 5)
    assert time.monotonic() - started < 0.1
    hung()
    await until(lambda: store.is_ready, "ready")
    kept = await store.put(b"one more", "a/b")
    assert await store.get(kept) == b"one more"


async def test_what_a_hanging_disk_holds_in_memory_is_bounded_in_bytes_too(
    hung: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared.media, "MOST_BYTES_UNDER_WAY", 10_000)
    store = MediaStore(tmp_path.as_uri())
    for number in range(2):
        with pytest.raises(MediaUnavailable):
            await store.put(b"%d" % number * 6_000, "a/b", 0.05)
    assert not store.is_ready
    hung()
    await until(lambda: store.is_ready, "ready")


async def test_of_a_document_that_the_disk_has_no_room_for_nothing_stays_and_smaller_ones_are_kept(
    tmp_path: Path,
) -> None:
    store = MediaStore(tmp_path.as_uri())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * 1024, hard))
    try:
        with pytest.raises(MediaUnavailable):
            await store.put(bytes(2 * 1024 * 1024), "application/pdf")
        await store.put(b"small", "a/b")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()] == [b"small"]
    assert (await store.put(bytes(2 * 1024 * 1024), "application/pdf")).bytes == 2 * 1024 * 1024
