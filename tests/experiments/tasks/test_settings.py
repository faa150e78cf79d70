"""Settings behind a task's name."""

from functools import partial
from pathlib import Path

import pytest

from walras.errors import InputError, UnknownNameError
from walras.experiments.run import find_task
from walras.experiments.tasks.settings import apart, settings_of

OWN = """
from dataclasses import dataclass
from walras import Task

@dataclass(frozen=True)
class Mine(Task):
    name: str = "mine"
    metric: str = "m"
    depth: int = 1
    share: float | None = None
    pool = objective = evaluate = batch = None
"""


def factory(
    name: str, data: str | None = None, steps: int | None = None, share: float = 0.5, on: bool = False, mark: str = ""
) -> None:
    """Takes all kinds."""


TAKES = partial(factory, "bound")


@pytest.mark.parametrize(
    ("text", "name", "settings"),
    [
        ("wikitext2", "wikitext2", ""),
        ("wikitext2:a=1,b=2", "wikitext2", "a=1,b=2"),
        ("wikitext2:mark=a:b", "wikitext2", "mark=a:b"),
        ("wikitext2:oops", "wikitext2", "oops"),
        ("own.py", "own.py", ""),
        ("own.py:Mine", "own.py:Mine", ""),
        ("own.py:Mine:a=1", "own.py:Mine", "a=1"),
        ("C:/a=b/own.py:Mine:a=1", "C:/a=b/own.py:Mine", "a=1"),
    ],
)
def test_names_and_settings_are_told_apart(text: str, name: str, settings: str) -> None:
    assert apart(text) == (name, settings)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("steps=512", {"steps": 512}),
        ("share=1, on=true", {"share": 1.0, "on": True}),
        ("mark=<|endoftext|>", {"mark": "<|endoftext|>"}),
        ("mark=[CLS]", {"mark": "[CLS]"}),
        ("mark=12", {"mark": "12"}),
        ("mark=a=b", {"mark": "a=b"}),
    ],
)
def test_values_have_the_types_of_the_parameters(text: str, expected: dict[str, object]) -> None:
    found = settings_of("t", text, TAKES)
    assert found == expected
    assert [type(v) for v in found.values()] == [type(v) for v in expected.values()]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepz=3", r"unknown setting of task t 'stepz'\. Did you mean 'steps'\? Known: mark, on, share, steps"),
        ("name=x", "unknown setting of task t 'name'"),
        ("data=x", "unknown setting of task t 'data'"),
        ("steps=1.5", "steps of task t is '1.5'; it must be of type int"),
        ("steps=true", "steps of task t is 'true'; it must be of type int"),
        ("on=3", "on of task t is '3'; it must be of type bool"),
        ("steps=3,steps=4", "steps of task t is given twice"),
        ("steps", "'steps' is no setting of task t; write t:key=value"),
        ("steps=", "'steps=' is no setting"),
        ("steps=3,", "'' is no setting"),
    ],
)
def test_wrong_settings(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        settings_of("t", text, TAKES)


def test_tasks_without_settings() -> None:
    for name in ("pairs", "cola", "text"):
        with pytest.raises(InputError, match=rf"task {name} takes no settings \(given: 'tokens=3'\)"):
            find_task(f"{name}:tokens=3", None)
    with pytest.raises(UnknownNameError, match=r"unknown task 'wikitxt2'\. Did you mean 'wikitext2'\?"):
        find_task("wikitxt2:tokens=3", None)


def test_a_class_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN)
    found = find_task(f"{file}:Mine:depth=3,share=1", None)
    assert (found.name, vars(found)["depth"], vars(found)["share"]) == ("mine", 3, 1.0)
    with pytest.raises(UnknownNameError, match=r"unknown setting of task .*Mine 'dept'\. Did you mean 'depth'\?"):
        find_task(f"{file}:Mine:dept=3", None)
