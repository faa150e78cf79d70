"""Who may write a result, and where: looked at again once nobody else can, and never through a link."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from walras.errors import InputError
from walras.experiments.spec import RunSpec
from walras.experiments.store.result_folder import ResultFolder
from walras.experiments.store.run_folder import RUN, check_hashes, is_finished, read_result


@dataclass(frozen=True)
class Writer:
    """A run that has only settings and a result."""

    seed: int

    def folder(self, path: Path, **how: bool) -> ResultFolder:
        return ResultFolder(path, RUN, RunSpec.parse({"seed": self.seed}), **how)

    def write(self, folder: ResultFolder) -> None:
        with folder.held():
            folder.begin()
            folder.write("trace/part-00001.parquet", b"trace")
            folder.write("allocation.safetensors", b"gates")
            folder.finish({"seed": self.seed})


FIRST, SECOND = Writer(1), Writer(2)


@pytest.mark.parametrize("there", [False, True])
def test_nothing_is_not_gone_on_with(tmp_path: Path, there: bool) -> None:
    """Who asks to go on does not want a training from the beginning, as after a mistyped --out."""
    if there:
        (tmp_path / "r").mkdir()
    with pytest.raises(InputError, match="holds nothing to resume; leave --resume out to begin"):
        FIRST.folder(tmp_path / "r", resume=True)
    FIRST.folder(tmp_path / "r", resume=True, overwrite=True)


def test_a_result_that_has_come_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    place = tmp_path / "r"
    slow = SECOND.folder(place)  # looks, and then loads its network
    FIRST.write(FIRST.folder(place))
    with pytest.raises(InputError, match="holds another run; use --overwrite to replace it"):
        SECOND.write(slow)
    assert read_result(place)["seed"] == 1
    over = SECOND.folder(place, overwrite=True)
    SECOND.write(over)
    assert read_result(place)["seed"] == 2


def test_what_is_there_is_told_by_its_settings(tmp_path: Path) -> None:
    FIRST.write(FIRST.folder(tmp_path / "r"))
    with pytest.raises(InputError, match="holds this run, finished; use --overwrite to begin it anew"):
        FIRST.folder(tmp_path / "r")
    with pytest.raises(InputError, match="holds another run; use --overwrite to replace it"):
        SECOND.folder(tmp_path / "r")


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_has_the_name_of_a_part_and_no_settings_is_somebody_elses(tmp_path: Path, overwrite: bool) -> None:
    """A result begins with its settings: a `weights.safetensors` without them is no piece of one."""
    place = tmp_path / "r"
    place.mkdir()
    (place / "weights.safetensors").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"holds weights\.safetensors and no config\.yaml: nothing that a run left"):
        FIRST.folder(place, overwrite=overwrite)
    assert (place / "weights.safetensors").read_bytes() == b"mine"


def test_an_unfinished_folder_that_is_a_link(tmp_path: Path) -> None:
    for name in ("x", "y"):
        FIRST.write(FIRST.folder(tmp_path / name))
    (tmp_path / "x.unfinished").symlink_to("y")
    with pytest.raises(InputError, match=r"x\.unfinished' is a link, where the unfinished result would go; remove it"):
        SECOND.folder(tmp_path / "x", overwrite=True)
    assert [read_result(tmp_path / name)["seed"] for name in ("x", "y")] == [1, 1]


def test_a_private_result_stays_private(tmp_path: Path) -> None:
    place = tmp_path / "r"
    FIRST.write(FIRST.folder(place))
    place.chmod(0o700)
    SECOND.write(SECOND.folder(place, overwrite=True))
    assert place.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_settings_that_are_a_pipe(tmp_path: Path) -> None:
    place = tmp_path / "r"
    place.mkdir()
    os.mkfifo(place / "config.yaml")
    with pytest.raises(InputError, match="holds an unfinished run of other settings"):
        FIRST.folder(place)


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_something_else_in_the_place_of_the_lock(tmp_path: Path, kind: str) -> None:
    lock = tmp_path / ".r.lock"
    lock.symlink_to("elsewhere") if kind == "link" else lock.mkdir()
    with pytest.raises(InputError, match=r"\.r\.lock' stands where the lock of '.*' would be; remove it"):
        FIRST.folder(tmp_path / "r").check_free()


CHANGES: list[tuple[Any, str]] = [
    (lambda r: (r / "trace" / "part-00001.parquet").unlink(), r"trace' was changed after the run"),
    (lambda r: (r / "trace" / "part-00001.parquet").write_bytes(b"more"), r"trace' was changed after the run"),
    (lambda r: (r / "trace" / "part-00002.parquet").write_bytes(b"more"), r"trace' was changed after the run"),
    (lambda r: (r / "weights.safetensors").write_bytes(b"more"), "was not written by the run"),
]


@pytest.mark.parametrize(("change", "message"), CHANGES)
def test_files_of_a_result_are_those_it_was_written_with(tmp_path: Path, change: Any, message: str) -> None:
    place = tmp_path / "r"
    FIRST.write(FIRST.folder(place))
    check_hashes(place, read_result(place))
    change(place)
    with pytest.raises(InputError, match=message):
        check_hashes(place, read_result(place))


def test_hashes_of_other_files_are_not_taken(tmp_path: Path) -> None:
    FIRST.write(FIRST.folder(tmp_path / "r"))
    with pytest.raises(InputError, match=r"tells of a file that no run has: '\.\./secret'"):
        check_hashes(tmp_path / "r", {"files": {"../secret": "0"}})


def test_a_result_is_no_film(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "result.json").write_bytes(b"[" * 2**23 + b"]")
    with pytest.raises(InputError, match=r"cannot read result '.*': it has 8,388,609 bytes"):
        read_result(tmp_path / "r")
    assert not is_finished(tmp_path)
