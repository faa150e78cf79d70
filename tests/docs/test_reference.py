"""The reference is complete: every public name has a docstring and an example, and every example runs."""

from typing import Any

import pytest
import typer
from doc_tools import commands, docstrings, examples, public_names, reference

import walras
from walras.experiments.cli.app import app

CELLS = [cell for room in public_names.ROOMS for cell in examples.examples(room)]
NAMES = public_names.public_names()


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: f"{cell.room}: {', '.join(cell.names)}")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_example_runs_and_shows_something(cell: examples.Example) -> None:
    assert examples.printed(cell).strip()


def test_every_public_name_has_an_example() -> None:
    assert [f"{entry.packages[0]}.{entry.name}" for entry in NAMES if not reference.shown(entry)] == []


def test_every_example_is_of_a_public_name() -> None:
    """Names are spelled as they are exported; where packages share one, as `package.Name`."""
    known = {entry.name for entry in NAMES} | {f"{package}.{e.name}" for e in NAMES for package in e.packages}
    assert [name for cell in CELLS for name in cell.names if name not in known] == []


def test_every_public_name_is_described() -> None:
    """By a docstring of its own whose first paragraph is a sentence; constants say what they hold."""
    for entry in NAMES:
        if callable(entry.value) and not hasattr(entry.value, "keys"):
            first = docstrings.markdown(entry.value.__doc__).split("\n\n")[0].strip()
            assert first.endswith((".", ":")), entry.name


def test_all_names_of_walras_are_there() -> None:
    assert {entry.name for entry in NAMES if "walras" in entry.packages} == set(walras.__all__) - {"__version__"}


def test_anchors_differ() -> None:
    anchors = [reference.anchor(entry) for entry in NAMES]
    assert len(set(anchors)) == len(anchors)


def test_the_command_line_is_complete() -> None:
    """Every command with every option, and nothing that reads as Markdown by mistake."""
    group: Any = typer.main.get_command(app)
    page = commands.command_page()
    for name, command in group.commands.items():
        part = page.partition(f"## walras {name}\n")[2].partition("\n## ")[0]
        for parameter in command.params:
            shown = parameter.name.upper() if parameter.param_type_name == "argument" else parameter.opts[0]
            assert f"`{shown}" in part, (name, shown)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Costs p * q.", r"Costs p \* q."),
        ("`a * b` of [n].", r"`a * b` of \[n\]."),
        (
            "Does.\n\nArgs:\n    x: a number\n        of units.\n    y: more.",
            "- `x`: a number\n  of units.\n- `y`: more.",
        ),
        ("Does.\n\nRaises:\n    InputError: bad.\n\nAfterwards.", "**Errors**\n\n- `InputError`: bad.\n\nAfterwards."),
    ],
)
def test_docstrings_become_markdown(text: str, expected: str) -> None:
    assert docstrings.markdown(text).endswith(expected)
