"""One writer at a time, who is told by name, and whose lock dies with its process."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from walras.files.locks import BusyError, one_writer, refuse_second

HOLDER = """
import sys, time
from pathlib import Path
from walras.files.locks import one_writer
with one_writer(sys.argv[1]):
    Path(sys.argv[1]).parent.joinpath(".x.0123abcd.partial").write_text("half")
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_writer_is_told_who_writes(tmp_path: Path) -> None:
    place = tmp_path / "new" / "x"
    with one_writer(place):
        with pytest.raises(BusyError, match=r"x' is being written by process \d+ on .* since 20.*; wait for it"):
            refuse_second(place)
        with pytest.raises(BusyError, match="is being written by process"), one_writer(place):
            raise AssertionError
    refuse_second(place)
    assert list(tmp_path.iterdir()) == []  # nothing was written, and nothing is left


def test_a_lock_dies_with_its_process_and_what_it_left_is_swept(tmp_path: Path) -> None:
    place = tmp_path / "x"
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(place)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(BusyError, match=f"process {process.pid} on"):
            refuse_second(place)
    finally:
        process.kill()
        process.communicate()
    assert (tmp_path / ".x.lock").exists()
    refuse_second(place)
    with one_writer(place):
        assert not (tmp_path / ".x.0123abcd.partial").exists()
    assert list(tmp_path.iterdir()) == []


def test_who_waits_comes_next(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with one_writer(tmp_path / "x", wait=True):
            order.append("second")

    with one_writer(tmp_path / "x"):
        waiting = threading.Thread(target=second)
        waiting.start()
        order.append("first")
    waiting.join(60)
    assert order == ["first", "second"]


def test_a_torn_lock_file_hides_no_writer(tmp_path: Path) -> None:
    with one_writer(tmp_path / "x"):
        (tmp_path / ".x.lock").write_text("[" * 100_000)
        with pytest.raises(BusyError, match="written by another process"):
            refuse_second(tmp_path / "x")


def test_a_place_where_nothing_can_be_made_is_not_taken_for_one_that_is_held() -> None:
    with pytest.raises(OSError, match="/proc") as caught, one_writer("/proc/x"):
        raise AssertionError
    assert not isinstance(caught.value, BusyError)
