"""Every command line that a page shows is one: its options exist, and what they name is known."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from doc_pages import DOCS, FENCE, ROOT

from walras.errors import WalrasError
from walras.experiments.cli.app import app
from walras.experiments.settings.fields import leaves
from walras.experiments.spec import RunSpec

USAGE: type[Exception] = typer.BadParameter.__mro__[1]
"""What typer raises of words that a command does not take; outside of its own copy of click it has no name."""
COMMANDS: Any = typer.main.get_command(app)
PAGES = [ROOT / "README.md", *sorted(p for p in DOCS.rglob("*.md") if "doc_tools" not in p.parts)]
ENDS = {"|", ">", ">>", "<", "&&", "&", ";", "#"}  # what follows belongs to the shell
KINDS = {"mechanism", "valuation", "strategy", "schedule", "scope", "recipe", "kinds"}


def command_lines(page: Path) -> Iterator[str]:
    """Lines of blocks that begin with the command, with those that go on after a backslash."""
    for found in FENCE.finditer(page.read_text(encoding="utf-8")):
        for line in found["code"].replace("\\\n", " ").splitlines():
            words = line.strip().removeprefix("$ ")
            if words.startswith("walras "):
                yield words


LINES = [(page.relative_to(ROOT).as_posix(), line) for page in PAGES for line in dict.fromkeys(command_lines(page))]


def words_of(line: str) -> list[str]:
    """Words up to where the shell takes over, without the name of the program."""
    words = shlex.split(line, comments=True)[1:]
    end = next((i for i, word in enumerate(words) if word in ENDS), len(words))
    return words[:end]


def parsed(words: list[str]) -> tuple[str, dict[str, Any]]:
    """The command's name and its values, as the command line reads them."""
    name, *rest = words
    command = COMMANDS.commands[name]
    return name, command.make_context(name, rest).params


@pytest.mark.parametrize(("page", "line"), LINES)
def test_options_and_names_are_known(page: str, line: str) -> None:
    words = words_of(line)
    if words in (["--version"], ["--help"]) or words[-1:] == ["--help"]:
        return
    name, params = parsed(words)
    if name not in ("run", "dashboard"):
        return
    known = leaves(RunSpec)
    own = {k: v for k, v in params.items() if k in known and v not in (None, [], (), False) and "FILE" not in str(v)}
    RunSpec.parse({k: v for k, v in own.items() if ".py:" not in str(v) and ".yaml" not in str(v)})


def test_there_are_many() -> None:
    assert len(LINES) > 60


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("walras run --bugdet 0.5", "--bugdet"),
        ("walras trade", "trade"),
        ("walras compare --seeds many", "valid integer"),
        ("walras trace --where", "--where"),
        ("walras run --mechanism ShadowPrise", "ShadowPrise"),
        ("walras dashboard --budget cheap", "cheap"),
    ],
)
def test_a_wrong_line_is_found(line: str, wrong: str) -> None:
    with pytest.raises((USAGE, KeyError, WalrasError)) as caught:
        test_options_and_names_are_known("", line)
    assert wrong in (f"{caught.value} {vars(caught.value)}")
