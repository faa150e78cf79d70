"""A folder takes the place of another in one step, whatever the file system can do."""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from walras.files import folders
from walras.files.folders import RESULT, clear, put_in_place, remove, set_aside, sweep, tidy, whole_folder


@pytest.fixture(params=["exchange", "two renames"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the system's exchange of two names, and without."""
    if request.param == "two renames" or folders._exchange() is None:
        monkeypatch.setattr(folders, "_exchange", lambda: None)
    return str(request.param)


def write(place: Path, content: str) -> None:
    with whole_folder(place) as draft:
        (draft / RESULT).write_text(content)


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_folder_is_replaced_whole(tmp_path: Path, system: str) -> None:
    place = tmp_path / "above" / "x"
    write(place, "first")
    write(place, "second")
    assert (place / RESULT).read_text() == "second"
    assert names(place.parent) == ["x"]


def test_what_fails_leaves_what_was_there(tmp_path: Path, system: str) -> None:
    write(tmp_path / "x", "first")
    with pytest.raises(TypeError), whole_folder(tmp_path / "x") as draft:
        (draft / RESULT).write_text(2)  # type: ignore[arg-type]  # what fails in the middle
    assert (tmp_path / "x" / RESULT).read_text() == "first"
    assert names(tmp_path) == ["x"]


def test_a_link_is_followed(tmp_path: Path, system: str) -> None:
    write(tmp_path / "x", "first")
    (tmp_path / "link").symlink_to("x")
    write(tmp_path / "link", "second")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "x" / RESULT).read_text() == "second"


@pytest.mark.parametrize("dies_after", [1, 2])
def test_a_death_between_two_renames_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_after: int
) -> None:
    monkeypatch.setattr(folders, "_exchange", lambda: None)
    place, draft = tmp_path / "x", tmp_path / ".x.0123abcd.partial"
    write(place, "first")
    draft.mkdir()
    (draft / RESULT).write_text("second")
    done: list[str] = []

    def rename(source: Path, target: Path, real: Callable[[Path, Path], None] = os.rename) -> None:
        if len(done) == dies_after:
            raise KeyboardInterrupt  # stands for a kill: nothing after it is done
        done.append(source.name)
        real(source, target)

    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.setattr(folders, "remove", lambda place: None)
    with suppress(KeyboardInterrupt):
        put_in_place(draft, place)
    monkeypatch.undo()
    sweep(place)
    assert (place / RESULT).read_text() == ("first" if dies_after == 1 else "second")
    assert names(tmp_path) == ["x"]


def test_an_exchange_that_fails_puts_the_old_one_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "_exchange", lambda: None)
    write(tmp_path / "x", "first")

    def rename(source: Path, target: Path, real: Callable[[Path, Path], None] = os.rename) -> None:
        if source.name.endswith(".partial"):
            raise OSError(errno.EIO, "Input/output error")
        real(source, target)

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(OSError, match="Input/output error"):
        write(tmp_path / "x", "second")
    assert (tmp_path / "x" / RESULT).read_text() == "first"
    assert names(tmp_path) == ["x"]


def test_sweeping_touches_nothing_of_others(tmp_path: Path) -> None:
    own = [".a.0123abcd.partial", ".a.00000000.old"]
    others = [".a.b.0123abcd.partial", ".a.lock", ".a.xyz.partial", "a.0123abcd.partial", ".[a].0123abcd.partial"]
    for name in (*own, *others):
        (tmp_path / name).mkdir()
    (tmp_path / "a").mkdir()
    sweep(tmp_path / "a")
    assert names(tmp_path) == sorted([*others, "a"])


def test_what_says_finished_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", RESULT, "z"):
        (tmp_path / name).write_text("x")
    gone: list[str] = []
    real = Path.unlink

    def unlink(self: Path, missing_ok: bool = False) -> None:
        gone.append(self.name)
        real(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    clear(tmp_path)
    assert gone == [RESULT, "a", "z"]
    remove(tmp_path / "missing")


def test_what_is_set_aside_comes_back_unless_the_folder_is_finished(tmp_path: Path) -> None:
    part = tmp_path / "checkpoint"
    part.mkdir()
    seen = []

    def fails() -> None:
        with set_aside(part):
            seen.append(part.exists())
            raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        fails()
    assert seen == [False]
    assert part.is_dir()
    with set_aside(part):
        pass  # and here the process dies
    tidy(tmp_path, ["checkpoint"])
    assert part.is_dir()
    (tmp_path / ".table.parquet.0123abcd.partial").touch()
    with set_aside(part):
        (tmp_path / RESULT).touch()
    tidy(tmp_path, ["checkpoint", "table.parquet"])
    assert [p.name for p in tmp_path.iterdir()] == [RESULT]
    with set_aside(tmp_path / "nothing"):
        pass
