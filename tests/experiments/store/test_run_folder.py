"""A run's folder: what it replaces and when, and what it never touches."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from walras.errors import InputError
from walras.experiments.store.place import check_place
from walras.experiments.store.run_folder import read_result
from walras.market import read_trace

Walras = Callable[..., Any]
Spawn = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def run(walras: Walras, models: Path, lines: Path, no_pictures: None) -> Walras:
    """`walras run` into the folder r; later options win."""

    def start(*options: object) -> Any:
        base = ("--model", models / "bert", "--task", "text", "--data", lines, "--rounds", 2, "--out", "r", "--json")
        return walras("run", *base, *options)

    return start


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.nightly
def test_another_run_is_replaced_only_when_asked(run: Walras) -> None:
    assert run("--rounds", 3).code == 0
    before = content(Path("r"))
    assert run().error == "--out 'r' holds another run; use --overwrite to replace it"
    assert content(Path("r")) == before
    assert run("--overwrite").code == 0
    assert read_result("r")["rounds"] == 2
    assert len(list(Path("r/trace").iterdir())) == 2


@pytest.mark.nightly
def test_the_old_run_stays_until_the_first_round_is_done(run: Walras, tmp_path: Path) -> None:
    assert run().code == 0
    before = content(Path("r"))
    assert "holds no folder SST-2" in run("--overwrite", "--task", "sst2", "--data", tmp_path).error
    (tmp_path / "nan.py").write_text(
        "from walras import Valuation\nclass Nan(Valuation):\n unit = 'u'\n"
        " def __call__(self, calibration, gates, generator):\n  return gates * float('nan')\n"
    )
    assert "values must be finite" in run("--overwrite", "--valuation", tmp_path / "nan.py:Nan").error
    assert content(Path("r")) == before


@pytest.mark.nightly
def test_a_run_that_fails_later_keeps_its_rounds(run: Walras, walras: Walras, tmp_path: Path) -> None:
    (tmp_path / "late.py").write_text(
        "from walras import Valuation\nclass Late(Valuation):\n unit = 'u'\n"
        " def __call__(self, calibration, gates, generator):\n"
        "  return gates + 1 if gates.all() else gates * float('nan')\n"
    )
    assert "values must be finite" in run("--valuation", tmp_path / "late.py:Late").error
    assert sorted(p.name for p in Path("r").iterdir()) == ["config.yaml", "rounds.parquet", "trace"]
    assert len(json.loads(walras("trace", "r", "--json").out)["rounds"]) == 1
    with pytest.raises(InputError, match=r"'r' has not finished: there is no result\.json"):
        read_result("r")
    assert run("--overwrite").code == 0


@pytest.mark.parametrize("foreign", ["notes.txt", "trace/notes.txt", "trace/part-1.parquet", ".git/config"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_folders_of_other_things_are_left_alone(run: Walras, foreign: str, overwrite: bool) -> None:
    file = Path("r") / foreign
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    (Path("r") / "config.yaml").write_text("mine")
    message = run(*(["--overwrite"] if overwrite else [])).error
    assert message == (
        f"--out 'r' holds {foreign.removesuffix('/config')!r}, which is no part of a run; choose another folder"
    )
    assert set(content(Path("r")).values()) == {b"mine"}


def test_places_that_are_no_folder(run: Walras) -> None:
    Path("file").write_text("mine")
    assert run("--out", "file").error == "--out 'file' is a file; it must be a folder"
    assert "cannot be written" in run("--out", "file/below", "--overwrite").error
    assert Path("file").read_text() == "mine"


@pytest.mark.nightly
def test_an_empty_folder_and_what_a_killed_run_left_are_fine(run: Walras) -> None:
    Path("r").mkdir()
    assert run().code == 0
    Path("r/.price.png.partial").write_text("half")
    Path("r/trace/part-00003.partial").write_text("half")
    assert run("--overwrite").code == 0
    assert not list(Path("r").rglob("*.partial"))


@pytest.mark.nightly
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_leaves_what_can_be_read(
    spawn: Spawn, walras: Walras, models: Path, lines: Path, tmp_path: Path, patience: float, number: int, code: int
) -> None:
    base = ("--model", models / "bert", "--task", "text", "--data", lines, "--rounds", 5_000, "--out", "r")
    process, run, started = spawn("run", *base), tmp_path / "r", time.monotonic()
    while not (run / "trace" / "part-00001.parquet").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() - started < patience, sorted(run.rglob("*"))
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=patience)
    assert process.returncode == code
    done = len(list((run / "trace").glob("part-*.parquet")))
    assert err.splitlines()[-1:] == [f"Interrupted; {done} finished round(s) can be read: walras trace r"]
    assert not (run / "result.json").exists()
    assert not list(run.rglob("*.partial"))
    assert read_trace(run)["round"].nunique() == done >= 1
    assert walras("trace", run).code == 0


@pytest.mark.nightly
def test_another_process_with_another_hash_seed_writes_the_same_trace(
    run: Walras, spawn: Spawn, models: Path, lines: Path, tmp_path: Path, patience: float
) -> None:
    base = ("--model", models / "bert", "--task", "text", "--data", lines, "--rounds", 2, "--out", "other")
    process = spawn("run", *base, PYTHONHASHSEED="4321")
    assert run().code == 0
    _, err = process.communicate(timeout=patience)
    assert process.returncode == 0, err
    here, there = content(Path("r")), content(tmp_path / "other")
    assert len([name for name in here if name.startswith("trace")]) == 2
    same = [name for name in here if not name.endswith((".png", ".html", ".json"))]
    assert {name: here[name] for name in same} == {name: there[name] for name in same}


def test_help_needs_no_torch() -> None:
    code = (
        "import sys; sys.argv = ['walras', '--help']\n"
        "from walras.experiments.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'torch', 'transformers', 'mesa', 'pandas', 'numpy', 'matplotlib'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ}, check=False)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("run", "trace", "check", "list"))


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc, which grants access and takes no new folder")
def test_a_place_that_refuses() -> None:
    with pytest.raises(
        InputError, match="--out '/proc/x' cannot be written: No such file or directory; choose another"
    ):
        check_place("/proc/x")


@pytest.mark.parametrize("place", ["x" * 300, "new/" + "x" * 300, "/x" * 3000, "new" + "/x" * 2000])
def test_a_place_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="cannot be written: File name too long"):
        check_place(place)
    check_place("new/folder")
    assert list(tmp_path.iterdir()) == []


def test_a_place_with_a_null_character() -> None:
    with pytest.raises(InputError, match=r"cannot be written: .*null"):
        check_place("a\0b")
