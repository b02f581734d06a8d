"""The spool folder: only a whole TIFF inside it is ever read."""

import os

import pytest

from shared.callback import Document
from shared.errors import Unreadable
from shared.providers.asterisk.spool import read_spool_file

LITTLE_ENDIAN = b"II*\0" + b"\x08\0\0\0" + b"fax"
BIG_ENDIAN = b"MM\0*" + b"\0\0\0\x08" + b"fax"


@pytest.fixture
def spool(tmp_path):
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


def reason_of(path, spool, limit_bytes=1000):
    found = read_spool_file(path, spool, limit_bytes)
    assert isinstance(found, str)
    return found


@pytest.mark.parametrize("content", [LITTLE_ENDIAN, BIG_ENDIAN])
def test_a_tiff_of_either_byte_order_is_read_whole(spool, content):
    (spool / "in.tiff").write_bytes(content)
    assert read_spool_file(spool / "in.tiff", spool, 1000) == Document(content=content, content_type="image/tiff")


def test_a_tiff_of_exactly_the_limit_is_read_and_one_byte_more_is_not(spool):
    (spool / "in.tiff").write_bytes(LITTLE_ENDIAN)
    assert read_spool_file(spool / "in.tiff", spool, len(LITTLE_ENDIAN)).content == LITTLE_ENDIAN
    assert reason_of(spool / "in.tiff", spool, len(LITTLE_ENDIAN) - 1) == "too_large"


def test_a_missing_file_is_no_document(spool):
    assert reason_of(spool / "absent.tiff", spool) == "missing"
    (spool / "file").write_bytes(b"x")
    assert reason_of(spool / "file" / "below.tiff", spool) == "missing"


def test_a_missing_spool_folder_is_a_missing_document(spool):
    assert reason_of(spool / "gone" / "in.tiff", spool / "gone") == "missing"


def test_an_empty_file_is_no_document(spool):
    (spool / "in.tiff").touch()
    assert reason_of(spool / "in.tiff", spool) == "empty"


def test_what_bears_no_tiff_mark_is_no_document(spool):
    (spool / "in.tiff").write_bytes(b"%PDF-1.4")
    assert reason_of(spool / "in.tiff", spool) == "not_a_tiff"
    (spool / "in.tiff").write_bytes(b"II*")
    assert reason_of(spool / "in.tiff", spool) == "not_a_tiff"


def test_a_folder_is_never_read(spool):
    (spool / "in.tiff").mkdir()
    assert reason_of(spool / "in.tiff", spool) == "not_a_file"


def test_a_fifo_is_never_opened(spool, monkeypatch):
    os.mkfifo(spool / "in.tiff")
    opened = []
    monkeypatch.setattr(os, "open", lambda *arguments: opened.append(arguments))
    assert reason_of(spool / "in.tiff", spool) == "not_a_file"
    assert opened == []


def test_a_symlink_that_stays_inside_is_followed(spool):
    (spool / "real.tiff").write_bytes(LITTLE_ENDIAN)
    (spool / "in.tiff").symlink_to(spool / "real.tiff")
    assert read_spool_file(spool / "in.tiff", spool, 1000).content == LITTLE_ENDIAN


def test_a_spool_folder_that_is_itself_a_symlink_is_fine(spool, tmp_path):
    (spool / "in.tiff").write_bytes(LITTLE_ENDIAN)
    (tmp_path / "link").symlink_to(spool)
    assert read_spool_file(tmp_path / "link" / "in.tiff", tmp_path / "link", 1000).content == LITTLE_ENDIAN


@pytest.mark.parametrize("exists", [True, False])
def test_a_symlink_that_leaves_the_spool_makes_no_event_whether_or_not_its_target_exists(spool, tmp_path, exists):
    if exists:
        (tmp_path / "secret.tiff").write_bytes(LITTLE_ENDIAN)
    (spool / "in.tiff").symlink_to(tmp_path / "secret.tiff")
    with pytest.raises(Unreadable):
        read_spool_file(spool / "in.tiff", spool, 1000)


def test_a_linked_folder_that_leaves_the_spool_makes_no_event(spool, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "in.tiff").write_bytes(LITTLE_ENDIAN)
    (spool / "sub").symlink_to(tmp_path / "outside")
    with pytest.raises(Unreadable):
        read_spool_file(spool / "sub" / "in.tiff", spool, 1000)


def test_dots_that_lead_out_and_the_spool_itself_make_no_event(spool, tmp_path):
    (tmp_path / "other.tiff").write_bytes(LITTLE_ENDIAN)
    with pytest.raises(Unreadable):
        read_spool_file(spool / ".." / "other.tiff", spool, 1000)
    with pytest.raises(Unreadable):
        read_spool_file(spool, spool, 1000)


def test_links_in_a_circle_are_no_document(spool):
    (spool / "a").symlink_to(spool / "b")
    (spool / "b").symlink_to(spool / "a")
    assert reason_of(spool / "a", spool) == "unreadable"


def test_links_in_a_circle_hide_no_link_that_leads_out(spool, tmp_path):
    (tmp_path / "other.tiff").write_bytes(LITTLE_ENDIAN)
    (spool / "a").symlink_to(spool / "b")
    (spool / "b").symlink_to(spool / "a")
    (spool / "out").symlink_to(tmp_path)
    (spool / "in.tiff").symlink_to("a/../out/other.tiff")
    for path in (spool / "in.tiff", spool / "a" / ".." / "out" / "other.tiff"):
        with pytest.raises(Unreadable):
            read_spool_file(path, spool, 1000)


def test_a_file_that_grows_while_it_is_read_is_no_document(spool, monkeypatch):
    path = spool / "in.tiff"
    path.write_bytes(LITTLE_ENDIAN)
    open_file = os.fdopen

    def open_and_grow(descriptor, mode):
        looked_at = os.fstat(descriptor)
        path.write_bytes(LITTLE_ENDIAN + b"more")
        monkeypatch.setattr(os, "fstat", lambda _: looked_at)
        return open_file(descriptor, mode)

    monkeypatch.setattr(os, "fdopen", open_and_grow)
    assert reason_of(path, spool) == "growing"


def test_a_file_that_is_rewritten_while_it_is_read_is_no_document(spool, monkeypatch):
    path = spool / "in.tiff"
    path.write_bytes(LITTLE_ENDIAN)
    look = os.fstat

    def look_and_touch(descriptor):
        found = look(descriptor)
        os.utime(path, ns=(0, found.st_mtime_ns + 1))
        return found

    monkeypatch.setattr(os, "fstat", look_and_touch)
    assert reason_of(path, spool) == "growing"


def test_a_file_exchanged_for_a_link_after_the_look_is_no_document(spool, tmp_path, monkeypatch):
    (tmp_path / "secret.tiff").write_bytes(LITTLE_ENDIAN)
    path = spool / "in.tiff"
    path.write_bytes(LITTLE_ENDIAN)
    open_path = os.open

    def exchange_and_open(name, flags):
        path.unlink()
        path.symlink_to(tmp_path / "secret.tiff")
        return open_path(name, flags)

    monkeypatch.setattr(os, "open", exchange_and_open)
    assert reason_of(path, spool) == "unreadable"
