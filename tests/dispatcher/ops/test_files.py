"""A file that a command writes is there whole or not at all, and replaces nothing that it must not replace."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dispatcher.ops.files import replace, write_new

KILLED_IN_THE_MIDDLE = """
import resource, signal, sys
from pathlib import Path
from dispatcher.ops import files
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
getattr(files, sys.argv[1])(Path(sys.argv[2]), b"x" * 1_000)
"""
"""The kernel kills it after ten bytes."""


def kill_in_the_middle(name: str, path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED_IN_THE_MIDDLE, name, str(path)], check=False)
    assert killed.returncode == -signal.SIGXFSZ


def test_a_process_that_is_killed_in_the_middle_leaves_no_part_under_the_name(tmp_path: Path) -> None:
    kill_in_the_middle("write_new", tmp_path / "fax.pdf")
    assert not (tmp_path / "fax.pdf").exists()
    (tmp_path / "body.bin").write_bytes(b"as it was")
    kill_in_the_middle("replace", tmp_path / "body.bin")
    assert (tmp_path / "body.bin").read_bytes() == b"as it was"


@pytest.mark.parametrize("links", [True, False], ids=["with links", "a file system without links"])
def test_a_new_file_is_for_its_owner_alone_and_replaces_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def link(*_: object) -> None:
        raise PermissionError

    if not links:
        monkeypatch.setattr("os.link", link)
    path = tmp_path / ("x" * 250 + ".pdf")
    write_new(path, b"whole")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"whole", 0o600)
    with pytest.raises(FileExistsError):
        write_new(path, b"another")
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        write_new(dangling, b"another")
    assert path.read_bytes() == b"whole"
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([path.name, "dangling"])


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    for content in (b"one", b"two"):
        replace(tmp_path / "body.bin", content)
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("body.bin", b"two")]
    with pytest.raises(OSError, match="No such file"):
        replace(tmp_path / "nowhere" / "body.bin", b"one")
