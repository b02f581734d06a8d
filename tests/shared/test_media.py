"""Documents are kept by their digest, once, and a store that does not take them says so."""

import hashlib
from pathlib import Path

import pytest

from shared.media import MediaStore, MediaUnavailable
from shared.settings import BadSetting


async def test_a_document_is_kept_under_its_digest_and_read_back_whole(tmp_path: Path) -> None:
    store = MediaStore((tmp_path / "a b").as_uri())
    content = bytes(range(256)) * 2000  # above the size that is hashed in a thread
    media = await store.put(content, "application/pdf")
    digest = hashlib.sha256(content).hexdigest()
    assert (media.sha256, media.bytes, media.content_type) == (digest, len(content), "application/pdf")
    assert await store.get(media) == content
    assert (tmp_path / "a b" / media.key).read_bytes() == content


async def test_the_same_content_is_kept_once(tmp_path: Path) -> None:
    store = MediaStore(tmp_path.as_uri())
    assert await store.put(b"x", "a/b") == await store.put(b"x", "a/b")
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


async def test_a_store_that_cannot_take_or_give_says_so(tmp_path: Path) -> None:
    store = MediaStore((tmp_path / "media").as_uri())
    media = await store.put(b"x", "a/b")
    (tmp_path / "media" / media.key).unlink()
    with pytest.raises(MediaUnavailable):
        await store.get(media)
    (tmp_path / "media" / media.key).parent.rmdir()
    (tmp_path / "media" / media.key).parent.write_text("in the way")
    with pytest.raises(MediaUnavailable):
        await store.put(b"x", "a/b")


@pytest.mark.parametrize("url", ["nowhere", "ftp://host/x", "file:///proc/self/mem/x"])
def test_a_url_that_leads_nowhere_is_refused_naming_the_variable(url: str) -> None:
    with pytest.raises(BadSetting, match="MEDIA_URL is wrong"):
        MediaStore(url)
