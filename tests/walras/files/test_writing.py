"""A file appears whole or not at all, and whoever could read it before can read it after."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from walras.errors import InputError
from walras.files.folders import whole_folder
from walras.files.writing import whole_file, write_whole


def test_what_fails_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "new" / "table.txt"
    with whole_file(file) as partial:
        partial.write_text("first")
        assert not file.exists()
    with pytest.raises(TypeError), whole_file(file) as partial, partial.open("w") as half:
        half.writelines(["sec", None])  # type: ignore[list-item]  # what fails in the middle
    assert file.read_text() == "first"
    assert [p.name for p in file.parent.iterdir()] == ["table.txt"]


@pytest.fixture
def mask() -> Iterator[None]:
    """The user's usual mask: others may read."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(place: Path) -> int:
    return stat.S_IMODE(place.stat().st_mode)


@pytest.mark.usefixtures("mask")
def test_permissions_stay_and_new_ones_follow_the_mask(tmp_path: Path) -> None:
    file = tmp_path / "table.txt"
    with whole_file(file) as draft:
        draft.unlink()
        draft.touch(0o600)  # as safetensors writes
    assert mode(file) == 0o644
    file.chmod(0o600)
    write_whole(file, "second")
    assert mode(file) == 0o600
    with whole_folder(tmp_path / "folder"):
        pass
    assert mode(tmp_path / "folder") == 0o755
    (tmp_path / "folder").chmod(0o2770)
    with whole_folder(tmp_path / "folder") as new:
        (new / "file").touch()
    assert mode(tmp_path / "folder") == 0o2770


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_pipes_and_devices_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "link.txt").symlink_to(os.devnull)
    for name in ("pipe.txt", "link.txt"):
        with pytest.raises(InputError, match=rf"{name}' is a pipe or a device; a file would take its place"):
            write_whole(tmp_path / name, "text")
    assert (tmp_path / "pipe.txt").is_fifo()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.txt", "pipe.txt"]
