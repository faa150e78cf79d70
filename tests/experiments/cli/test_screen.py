"""Progress in files and pipes: which steps get a line."""

import io

from rich.console import Console

from walras.experiments.cli.screen import LineProgress


def progress() -> tuple[LineProgress, io.StringIO]:
    text = io.StringIO()
    return LineProgress(Console(file=text, width=80)), text


def test_a_line_for_every_finished_step_that_says_what_came_of_it() -> None:
    lines, text = progress()
    task = lines.add_task("Cells", total=3)
    lines.update(task, completed=1)
    lines.update(task, description="on the way")
    lines.update(task, advance=1)
    lines.update(task, advance=1, description="[/b] of $x [3]")
    assert text.getvalue() == "[3/3] [/b] of $x [3]\n"


def test_a_long_task_gets_a_line_for_every_twentieth() -> None:
    lines, text = progress()
    task = lines.add_task("Training", total=1000)
    for step in range(1, 1001):
        lines.update(task, completed=step, description=f"step {step}")
    told = text.getvalue().splitlines()
    assert len(told) == 20
    assert (told[0], told[-1]) == ("[  5%] step 50", "[100%] step 1000")


def test_a_task_without_a_total() -> None:
    lines, text = progress()
    task = lines.add_task("Loading", total=None)
    lines.update(task, completed=1, description="loaded")
    lines.update(task, completed=3, total=4, description="three of four")
    assert text.getvalue() == "loaded\n[ 75%] three of four\n"
