"""What stands for a cell's settings: names, numbers, the content of user's files, and objects."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from walras.agents import STRATEGIES, Truthful
from walras.agents.strategies import Mixture
from walras.experiments.grids.cell import Cell
from walras.experiments.grids.sources import canonical, content_key, described, names_files, without_places
from walras.experiments.settings.named_files import content_of
from walras.experiments.spec import RunSpec
from walras.market.schedule import NumbersFile
from walras.mechanisms import PostedPrice, ShadowPrice
from walras.user_code import fingerprint

RULE = "from walras import ShadowPrice\n"
STRATEGY = """
from dataclasses import dataclass
from typing import ClassVar
from walras import Strategy

@dataclass(frozen=True)
class S(Strategy):
    name: ClassVar[str] = "s"
    factor: float = 0.5
    text: str = "x"

    def bid(self, info, generator):
        return info.value * self.factor
"""


@dataclass(frozen=True)
class Own:
    """A rule of the user's, as far as keys are concerned."""

    rate: float = 1.0


def key(rule: Any, **more: Any) -> str:
    return Cell({}, 0, RunSpec(**more).with_values(mechanism=rule)).key


@pytest.fixture
def rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rule.py").write_text(RULE, encoding="utf-8")
    return tmp_path / "rule.py"


def test_a_file_counts_by_its_content_and_not_by_its_place(rule: Path, tmp_path: Path) -> None:
    first = key("rule.py:Mine")
    (tmp_path / "other").mkdir()
    shutil.copy(rule, tmp_path / "other" / "copy.py")
    assert {key(f"{rule}:Mine"), key("./rule.py:Mine"), key("other/copy.py:Mine")} == {first}
    assert key("rule.py:Other") != first
    assert key("rule.py:Mine:rate=2") != first
    os.utime(rule, (1, 1))
    assert key("rule.py:Mine") == first
    rule.write_text(RULE + "# edited\n", encoding="utf-8")
    assert key("rule.py:Mine") != first


@pytest.mark.parametrize(
    "text",
    ["truthful=0.5,rule.py:Mine=0.5", "truthful=0.5+rule.py:Mine:rate=.1=0.5", "rule.py", "rule.py:Mine:rate=3,a=1"],
)
def test_files_within_texts(rule: Path, text: str) -> None:
    before = canonical(RunSpec().with_values(strategy=text))
    assert before["market"]["strategy"] == text.replace("rule.py", f"{fingerprint(rule)}.py")
    rule.write_text(RULE + "# edited\n", encoding="utf-8")
    assert canonical(RunSpec().with_values(strategy=text)) != before


def test_a_file_that_is_none_stays_a_text(rule: Path) -> None:
    assert canonical(RunSpec().with_values(strategy="none.py:X"))["market"]["strategy"] == "none.py:X"


def test_objects_of_ours_are_what_their_texts_are() -> None:
    assert key(ShadowPrice()) == key("ShadowPrice")
    assert key(PostedPrice(price=0.25)) == key("PostedPrice:price=0.25") != key("PostedPrice:price=0.5")


def test_objects_of_the_users_count_by_class_attributes_and_source() -> None:
    assert key(Own(1.0)) == key(Own(1.0)) != key(Own(2.0))
    found = canonical(RunSpec().with_values(mechanism=Own(2.0)))["market"]["mechanism"]
    assert found["source"] == fingerprint(__file__)
    assert found["attributes"] == {"rate": 2.0}
    assert described(Own(2.0), "mechanism") == "Own:rate=2.0"
    assert described(ShadowPrice(), "mechanism") == "ShadowPrice"


def test_files_of_settings_without_the_places_of_code() -> None:
    text = "mechanism: /home/a b/x.py:Mine\nstrategy: truthful=0.5,own/y.py:Z=0.5\ndata: own/t.txt\n"
    assert without_places(text) == "mechanism: /home/a x.py:Mine\nstrategy: truthful=0.5,y.py:Z=0.5\ndata: own/t.txt\n"


@pytest.mark.parametrize(
    ("file", "given"),
    [
        ("s.txt", {"schedule": "s.txt"}),
        ("own.py", {"shock": "task:own.py:T@2"}),
        ("e=q/own.py", {"strategy": "e=q/own.py:S"}),
        ("c,m/own.py", {"strategy": "c,m/own.py:S"}),
        ("pl+us/own.py", {"strategy": "truthful=0.5+pl+us/own.py:S=0.5"}),
        ("sp ace/own.py", {"phases": ("sp ace/own.py:S",)}),
        ("lines.txt", {"data": "lines.txt"}),
        ("data/deep/dev.tsv", {"data": "data"}),
        ("times", {"latency_table": "times"}),
        ("own.py", {"budget": {"own.py:R": 0.5}}),
        ("own.py", {"strategy": {"name": "own.py:S", "text": "a,b"}}),
    ],
)
def test_whatever_names_a_file_changes_with_it(here: Path, file: str, given: dict[str, Any]) -> None:
    (here / file).parent.mkdir(parents=True, exist_ok=True)
    (here / file).write_text("1", encoding="utf-8")
    spec = RunSpec().with_values(**given)
    before = content_key(spec)
    assert content_key(spec) == before
    assert names_files(spec)
    (here / file).write_text("2", encoding="utf-8")
    assert content_key(spec) != before


def test_an_object_that_reads_a_file_changes_with_it(here: Path) -> None:
    (here / "s.txt").write_text("1", encoding="utf-8")
    before = content_key(RunSpec().with_values(schedule=NumbersFile("s.txt")))
    assert before == content_key(RunSpec().with_values(schedule="s.txt"))
    (here / "s.txt").write_text("2", encoding="utf-8")
    assert content_key(RunSpec().with_values(schedule=NumbersFile("s.txt"))) != before


def test_a_copied_folder_is_the_same_and_results_of_ours_do_not_count(here: Path) -> None:
    (here / "a" / "b").mkdir(parents=True)
    (here / "a" / "b" / "dev.tsv").write_text("1", encoding="utf-8")
    before = content_of("a")
    shutil.copytree("a", "elsewhere", copy_function=shutil.copyfile)
    assert content_of("elsewhere") == before
    (here / "a" / "out").mkdir()
    (here / "a" / "out" / "compare.yaml").touch()
    (here / "a" / "out" / "table.csv").touch()
    assert content_of("a") == before
    (here / "a" / "b" / "more.tsv").touch()
    assert content_of("a") != before
    assert content_of("neither file nor folder") == "neither file nor folder"


def test_an_object_changes_with_the_classes_of_its_parts(here: Path) -> None:
    (here / "own.py").write_text(STRATEGY, encoding="utf-8")
    before = key(Mixture((Truthful(), STRATEGIES.make("own.py:S")), (0.5, 0.5)))
    (here / "own.py").write_text(STRATEGY + "# edited\n", encoding="utf-8")
    assert key(Mixture((Truthful(), STRATEGIES.make("own.py:S")), (0.5, 0.5))) != before


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("own.py:S:factor=.5", "own.py:S:factor=0.50"),
        ("own.py:S", "own.py:S:factor=0.5"),
        ("truthful", "truthful=1"),
        ("own.py:S", "own.py:S=1"),
        ("own.py:S:factor=.25=0.5+truthful=0.5", "own.py:S:factor=0.250=0.5+truthful=0.5"),
        ("own.py:S", {"name": "own.py:S", "factor": 0.5}),
    ],
)
def test_two_spellings_of_one_value_are_one(here: Path, one: Any, other: Any) -> None:
    (here / "own.py").write_text(STRATEGY, encoding="utf-8")
    specs = [RunSpec.parse({"strategy": value}) for value in (one, other, "own.py:S:factor=0.75")]
    first, second, third = (content_key(spec, exact=True) for spec in specs)
    assert first == second != third


def test_a_mapping_is_told_with_its_parameters() -> None:
    assert described({"name": "own.py:S", "text": "a,b"}, "strategy") == "own.py:S:text='a,b'"


def test_a_setting_that_came_later_counts_where_it_is_given() -> None:
    before, given = RunSpec(), RunSpec().with_values(repair_sentences=64)
    assert "repair_sentences" not in canonical(before)["market"]
    assert canonical(given)["market"]["repair_sentences"] == 64
    assert content_key(given) != content_key(before)
    for spec in (before, given):
        assert RunSpec.parse(spec.tree) == spec
