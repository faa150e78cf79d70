"""Whatever goes wrong is one line on standard error, with the exit code of its kind."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from walras.errors import InputError
from walras.experiments.cli.process.ending import Ending


def ended(app: Callable[..., Any], *arguments: str) -> tuple[int, str]:
    """Exit code and standard error of a command line that consists of a function."""
    err, out = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(out), pytest.raises(SystemExit) as end:
        Ending([*arguments]).run(lambda: app)
    assert isinstance(end.value.code, int)
    return end.value.code, err.getvalue()


def failing(error: BaseException) -> Callable[..., Any]:
    def app(args: list[str]) -> None:
        raise error

    return app


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("two\n  lines [/b] of \x1b[31mred"), "Error: two lines [/b] of red"),
        (OSError(28, "No space left on device"), "Error: No space left on device"),
        (PermissionError(13, "Permission denied", "/x/y"), "Error: Permission denied: '/x/y'"),
        (OSError(36, "File name too long", "x" * 300), f"Error: File name too long: '{'x' * 300}'"),
        (OSError("no number"), "Error: OSError: no number"),
        (MemoryError(), "Error: the memory is too small"),
        (MemoryError("Unable to allocate 9 EiB"), "Error: the memory is too small: Unable to allocate 9 EiB"),
        (RecursionError("maximum"), "Error: something is nested too deeply"),
        (OverflowError("int too large"), "Error: OverflowError: int too large"),
        (torch.OutOfMemoryError("CUDA out of memory"), "Error: OutOfMemoryError: CUDA out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you"), "Error: RuntimeError: DefaultCPUAllocator"),
        (SafetensorError("I/O error: No space left"), "Error: SafetensorError: I/O error: No space left"),
    ],
)
def test_what_the_user_can_mend(error: BaseException, line: str) -> None:
    code, err = ended(failing(error))
    assert code == 2
    assert err.startswith(line)
    assert err.count("\n") == 1


def test_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WALRAS_TRACEBACK", raising=False)
    app = failing(KeyError("x\x1b]0;title\x07"))
    code, err = ended(app, "run")
    assert (code, err) == (1, "internal error: KeyError: 'x\\x1b]0;title\\x07'; --traceback shows where\n")
    for arguments, value in ((("run", "--traceback"), ""), (("run",), "1")):
        monkeypatch.setenv("WALRAS_TRACEBACK", value)
        code, err = ended(app, *arguments)
        assert code == 1
        assert err.startswith("Traceback (most recent call last):\n")
        assert ", in app\n" in err
        assert err.splitlines()[-1].startswith("internal error: KeyError")


def test_a_working_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    code, err = ended(lambda args: os.getcwd(), "run")
    assert (code, err) == (2, "Error: the folder in which the command was started is gone; change to one that exists\n")


def test_traceback_is_no_argument_of_the_app() -> None:
    seen: list[str] = []
    assert ended(lambda args: seen.extend(args), "run", "--traceback", "--json")[0] == 0
    assert seen == ["run", "--json"]


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (BrokenPipeError(), 1), (SystemExit(5), 5)])
def test_ends_that_say_nothing(error: BaseException, code: int) -> None:
    assert ended(failing(error)) == (code, "")


@pytest.fixture
def attentive() -> Iterator[None]:
    """Signals as a process has them that was not started deaf to some: behind a shell, or by nohup."""
    usual: dict[signal.Signals, Any] = {
        signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler
    }  # fmt: skip
    before = {one: signal.signal(one, handler) for one, handler in usual.items()}
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_request_to_end_clears_away(number: signal.Signals, code: int, attentive: None) -> None:
    before = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)]
    cleared = []

    def app(args: list[str]) -> None:
        try:
            try:
                os.kill(os.getpid(), number)
                time.sleep(60)
            except (Exception, SystemExit):  # as a user's rule is guarded, and a job
                pytest.fail("taken for a fault of the user's code")
        finally:
            cleared.append(True)

    assert ended(app) == (code, "")
    assert cleared == [True]
    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)] == before


VERSION = "import sys; sys.argv = ['walras', '--version']; from walras.experiments.cli.main import main; main()"


def python(code: str, **how: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-P", "-c", code], text=True, stderr=subprocess.PIPE, check=False, **how)


INTERRUPTING = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs behind it deaf to Ctrl-C
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("module", ["typing", "rich", "typer", "walras.experiments.cli.train"])
def test_ctrl_c_while_it_is_being_loaded(module: str) -> None:
    """At the first import that the handler comes before, and at later ones."""
    found = python(INTERRUPTING.format(module=module) + VERSION, stdout=subprocess.PIPE)
    assert (found.returncode, found.stdout, found.stderr) == (130, "", "Interrupted\n")


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_by_way_of_the_package() -> None:
    code = INTERRUPTING.format(module="typer") + "import runpy; runpy.run_module('walras', run_name='__main__')"
    found = python(code, stdout=subprocess.PIPE)
    assert (found.returncode, found.stderr) == (130, "Interrupted\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written() -> None:
    with Path("/dev/full").open("w") as full:
        found = python(VERSION, stdout=full)
    assert (found.returncode, found.stderr) == (2, "Error: No space left on device\n")


def test_a_reader_who_has_gone() -> None:
    read, write = os.pipe()
    os.close(read)
    found = python(VERSION, stdout=write)
    os.close(write)
    assert (found.returncode, found.stderr) == (1, "")
