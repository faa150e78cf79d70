"""What reaches a terminal: texts as they are, without codes; and which steps get a line in files and pipes."""

import ast
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.panel import Panel
from rich.progress import Progress, TextColumn
from rich.table import Table
from rich.text import Text

from walras.experiments.cli.screen import LineProgress, TerminalConsole, show_error

ROOT = Path(__file__).resolve().parents[3]
EVIL = "\x1b[31mred\x1b[0m\x1b]0;title\x07[/b] :smile: \x9b2J\u202etxt\u2066 \x08\x00\r\ud800"
PLAIN = "red]0;title[/b] :smile: txt \\ud800"


def progress() -> tuple[LineProgress, io.StringIO]:
    text = io.StringIO()
    return LineProgress(TerminalConsole(file=text, width=80)), text


def test_whatever_is_printed_is_shown_as_it_is() -> None:
    text = io.StringIO()
    console = TerminalConsole(file=text, width=200)
    table = Table("[bold]head", title=EVIL, caption=EVIL)
    table.add_row(EVIL)
    table.add_row(Text(EVIL))
    for shown in (EVIL, Text(EVIL), table, Panel(EVIL)):
        console.print(shown, style="red")
    console.print(EVIL, markup=True, emoji=True)
    assert text.getvalue().count(PLAIN) == 8
    assert text.getvalue().count("[bold]head") == 1
    assert not set("\x1b\x9b\x07\x08\x00\r\u202e\u2066\ud800") & set(text.getvalue())


def test_styles_are_the_only_codes_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("FORCE_COLOR", "1"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    text = io.StringIO()
    TerminalConsole(file=text).print(EVIL, style="red", soft_wrap=True)
    assert text.getvalue() == f"\x1b[31m{PLAIN}\x1b[0m\n"


def test_errors_and_progress(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(f"Error: {EVIL}\n  and more")
    text = io.StringIO()
    with Progress(TextColumn("{task.description}", markup=False), console=TerminalConsole(file=text)) as bars:
        bars.update(bars.add_task(EVIL, total=1), advance=1)
    assert capsys.readouterr().err == f"Error: {PLAIN} and more\n"
    assert "\x1b]" not in text.getvalue()
    assert "red]0;title[/b] :smile:" in text.getvalue()


PRINTS = {  # files that print by themselves: JSON, whose texts are escaped, or figures and names of their own
    *(f"cli/{name}.py" for name in (
        "app", "check", "export", "grids/calibrate", "grids/compare", "interactions", "list", "observe",
        "queries/allocate", "queries/learn", "queries/replay", "run", "sparsify", "trace", "train",
    )),
    "benchmarks/dashboard_frames.py",
    *(f"benchmarks/speed/{name}.py" for name in ("clearing", "gate_overhead", "market_work")),
}  # fmt: skip
CONSOLES = {"cli/screen.py"}


def test_nothing_else_writes_to_a_terminal() -> None:
    """JSON is printed as `print(json.dumps(...))`; consoles come from `screen`."""
    prints, consoles = set(), set()
    for file in sorted((ROOT / "experiments").rglob("*.py")):
        name = file.relative_to(ROOT / "experiments").as_posix()
        for call in _calls(file):
            if call == "print":
                prints.add(name)
            elif call.rpartition(".")[2] in ("Console", "get_console") or call in ("typer.echo", "typer.secho"):
                consoles.add(name)
    assert prints <= PRINTS
    assert consoles <= CONSOLES
    for room in ("walras", "mechanisms", "models", "agents", "market"):
        for file in sorted((ROOT / room).rglob("*.py")):
            assert not {"print", "Console"} & {call.rpartition(".")[2] for call in _calls(file)}, file


def _calls(file: Path) -> Iterator[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))


def test_a_line_for_every_finished_step_that_says_what_came_of_it() -> None:
    lines, text = progress()
    task = lines.add_task("Cells", total=3)
    lines.update(task, completed=1)
    lines.update(task, description="on the way")
    lines.update(task, advance=1)
    lines.update(task, advance=1, description="[/b] of $x [3]")
    assert text.getvalue() == "[0/3] Cells\n[3/3] [/b] of $x [3]\n"


def test_a_long_task_gets_a_line_for_every_twentieth() -> None:
    lines, text = progress()
    task = lines.add_task("Training", total=1000)
    for step in range(1, 1001):
        lines.update(task, completed=step, description=f"step {step}")
    told = text.getvalue().splitlines()
    assert len(told) == 21
    assert told[0] == "[0/1000] Training"
    assert (told[1], told[-1]) == ("[  5%] step 50", "[100%] step 1000")


def test_a_task_without_a_total() -> None:
    lines, text = progress()
    task = lines.add_task("Loading", total=None)
    lines.update(task, completed=1, description="loaded")
    lines.update(task, completed=3, total=4, description="three of four")
    assert text.getvalue() == "Loading ...\nloaded\n[ 75%] three of four\n"
