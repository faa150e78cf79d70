"""Whatever kills a command or lets one of its file operations fail: the old result is whole, or the new one is.

The same command again ends in the same files, byte for byte.
"""

import errno
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fault_injection import Failure, Recorder, Tree, operations, put, tree

from walras.files.writing import is_hidden_work

Walras = Callable[..., Any]
NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)  # in turn
CLOCKS = (
    "walras.experiments.observing.evaluation",
    "walras.experiments.observing.observe",
    "walras.experiments.training.loop.course",
    "walras.experiments.pipeline",
    "walras.experiments.sparsifying.sparsify",
)


@dataclass(frozen=True)
class Command:
    """A command that writes `out`; before it, in an empty folder, `earlier` ones have ended."""

    out: str
    line: tuple[object, ...]
    earlier: tuple[tuple[object, ...], ...] = ()


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch, no_pictures: None) -> None:
    """A clock that stands still, so that the same command leaves the same bytes."""
    for module in CLOCKS:
        monkeypatch.setattr(f"{module}.time", SimpleNamespace(monotonic=lambda: 0.0, perf_counter=lambda: 0.0))
    monkeypatch.setattr("walras.experiments.training.train.forward_times", lambda *_: {})


@pytest.fixture
def commands(models: Path, lines: Path, glue: Path, tmp_path: Path) -> dict[str, Command]:
    """Every command that writes a result, fresh and over an earlier result."""
    text = ("--model", models / "bert", "--task", "text", "--data", lines, "--length", 16, "--sentences", 8)
    run = ("run", *text, "--rounds", 2, "--block", 16, "--out", "r")
    train = (
        "train", "--model", models / "bert", "--task", "sst2", "--data", glue, "--length", 16, "--sentences", 8,
        "--batch-size", 4, "--held-out", 0, "--epochs", 2, "--block", 16, "--valuation", "fisher", "--save-every", 2,
        "--repair", "none", "--pricing", "shadow-price", "--priced", 0.5, "--device", "cpu", "--out", "r",
    )  # fmt: skip
    observe = (
        "observe", "--model", models / "classifier", "--task", "sst2", "--data", glue, "--length", 16, "--sentences", 8,
        "--controls", "none", "--constrain", "all", "--out", "r",
    )  # fmt: skip
    compare = ("compare", *text, "--recipe", "random", "--seeds", 2, "--executor", "serial", "--out", "r")
    problems = [
        {"text": f"{'why ' * (i % 7)}{i}", "samples": [{"tokens": 10 * i + 1, "correct": True}]} for i in range(30)
    ]
    traces, queries = tmp_path / "traces.jsonl", tmp_path / "queries.jsonl"
    traces.write_text("".join(json.dumps(one) + "\n" for one in problems))
    queries.write_text("".join(json.dumps({"id": str(i), "threshold": 10 + i}) + "\n" for i in range(5)))
    learn = ("learn", traces, "--out", "p")
    allocate = ("allocate", queries, "--out", "a.jsonl")
    trace = tmp_path / "trace.jsonl"
    asked = [{"id": i, "arrival": i, "threshold": 10 + i, "tokens": 12 + i, "correct": i % 2 == 0} for i in range(5)]
    trace.write_text("".join(json.dumps(one) + "\n" for one in asked))
    replay = ("replay", trace, "--out", "o")
    export = ("export", "r", "--out", "x")
    document = tmp_path / "document.txt"
    document.write_text(lines.read_text(encoding="utf-8") * 4, encoding="utf-8")
    sparsify = (
        "sparsify", "--model", models / "gpt2", "--data", document, "--length", 8, "--sequences", 2, "--limit", 2,
        "--traced", 1, "--trace", "--device", "cpu", "--out", "s",
    )  # fmt: skip
    over = "--overwrite"
    return {
        "run": Command("r", (*run, "--budget", 0.5)),
        "run over": Command("r", (*run, "--budget", 0.5, over), ((*run, "--budget", 0.7),)),
        "compare": Command("r", (*compare, "--budget", 0.5)),
        "compare over": Command("r", (*compare, "--budget", 0.7, "--budget", 0.5), ((*compare, "--budget", 0.7),)),
        "train": Command("r", (*train, "--budget", 0.5)),
        "train over": Command("r", (*train, "--budget", 0.5, over), ((*train, "--budget", 0.7),)),
        "observe": Command("r", (*observe, "--budgets", "4,2")),
        "observe over": Command("r", (*observe, "--budgets", "4,2", over), ((*observe, "--budgets", "3"),)),
        "export": Command("x", export, ((*run, "--budget", 0.5),)),
        "export over": Command("x", (*export, over), ((*run, "--budget", 0.5), export, (*run, "--budget", 0.7, over))),
        "sparsify": Command("s", (*sparsify, "--budget", 0.8)),
        "sparsify over": Command("s", (*sparsify, "--budget", 0.8, over), ((*sparsify, "--budget", 0.9),)),
        "learn": Command("p", learn),
        "learn over": Command("p", (*learn, "--seed", 1), (learn,)),
        "allocate": Command("a.jsonl", (*allocate, "--budget", 50)),
        "replay": Command("o", (*replay, "--budget", 50)),
        "replay over": Command("o", (*replay, "--budget", 50), ((*replay, "--budget", 20),)),
        "allocate over": Command("a.jsonl", (*allocate, "--budget", 50), ((*allocate, "--budget", 20),)),
    }


NAMES = ("run", "compare", "train", "observe", "export", "sparsify", "learn", "allocate", "replay")
ALL = [f"{name}{over}" for name in NAMES for over in ("", " over")]
QUICK = {"run over", "sparsify over", "learn over", "allocate over", "replay over"}
CASES = [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.nightly]) for name in ALL]


def visible(content: Tree, out: str) -> Tree:
    """The result in what lies in the working folder, without what a killed process left beside it."""
    own = {n: data for n, data in content.items() if n == out or n.startswith(f"{out}/")}
    return {n: data for n, data in own.items() if not any(is_hidden_work(part) for part in Path(n).parts)}


def is_whole(now: Tree, old: Tree, new: Tree, out: str) -> bool:
    """Whether a result is the old one, or the new one, or says that it is unfinished; of a grid, each file and cell."""
    if now in (old, new):
        return True
    if any(name.startswith(f"{out}/cells") for name in new):
        tables = all(data in (old.get(n), new.get(n)) for n, data in now.items() if Path(n).parent == Path(out))
        return tables and has_whole_cells(now, new, out)
    if f"{out}/result.json" not in new:
        return False  # nothing would say that it is unfinished
    return not visible(old, out) and f"{out}/result.json" not in now and out not in {n for n in now if now[n]}


def has_whole_cells(now: Tree, new: Tree, out: str) -> bool:
    """Whether each cell of a grid that says that it is finished is what it will be."""
    finished = {str(Path(n).parent) for n in now if n.startswith(f"{out}/cells/") and n.endswith("/result.json")}
    return all(now.get(n) == data for n, data in new.items() if data is not None and str(Path(n).parent) in finished)


@dataclass
class Played:
    """A command with what lay there before, what it leaves, and what has been seen to lead there again."""

    walras: Walras
    name: str
    command: Command
    here: Path
    before: Tree
    after: Tree
    recorder: Recorder

    def check(self, state: Tree, what: str, failed: bool = False) -> None:
        """The old result is whole, or the new one is, and the same command again ends as it should.

        Of a grid that `failed`, in some cells or as a whole, the tables are those of the cells that finished.
        """
        out = self.command.out
        now, old, new = (visible(content, out) for content in (state, self.before, self.after))
        whole = has_whole_cells(now, new, out) if failed else is_whole(now, old, new, out)
        assert whole, (what, sorted(n for n in now if now[n] != new.get(n, b"?")))
        put(self.here, state)
        answer = self.walras(*self.command.line)
        if answer.code != 0:  # it had finished before
            assert now == new, (what, answer)
            assert "use --overwrite" in answer.err, (what, answer)
            return
        left = {name: data for name, data in tree(self.here).items() if not name.endswith(".lock")}
        assert left == self.after, (what, sorted(n for n in {*left, *self.after} if left.get(n) != self.after.get(n)))


@pytest.fixture
def played(walras: Walras, commands: dict[str, Command], request: pytest.FixtureRequest) -> Played:
    """A command that was run once with all its operations recorded."""
    name, command, here = str(request.param), commands[request.param], Path.cwd()
    for line in command.earlier:
        answer = walras(*line)
        assert answer.code == 0, answer
    before, recorder = tree(here), Recorder(here)
    with operations(here, recorder):
        answer = walras(*command.line)
    assert answer.code == 0, answer
    assert len(recorder.operations) >= 3, recorder.operations
    return Played(walras, name, command, here, before, tree(here), recorder)


def some(items: list[Any]) -> list[Any]:
    """All in the nightly profile; else three of them, the last one too."""
    return items if NIGHTLY else [items[len(items) // 3], items[2 * len(items) // 3], items[-1]]


@pytest.mark.parametrize("played", CASES, indirect=True)
def test_a_death_before_any_file_operation(played: Played, record_property: Callable[[str, object], None]) -> None:
    distinct = list({str(sorted(s.items())): s for s in played.recorder.states}.values())
    for number, state in enumerate(some(distinct)):
        played.check(state, f"state {number} of {len(distinct)}")
    record_property(
        "tried", (f"deaths, {played.name.replace(' over', ' over an earlier result')}", len(some(distinct)))
    )


@pytest.mark.parametrize("played", CASES, indirect=True)
def test_a_failure_of_any_file_operation(played: Played, record_property: Callable[[str, object], None]) -> None:
    checked: set[str] = set()
    count = len(played.recorder.operations)
    for k in some(list(range(count))):
        put(played.here, played.before)
        failure = Failure(k, ERRORS[k % len(ERRORS)])
        with operations(played.here, failure):
            answer = played.walras(*played.command.line)
        what = f"{errno.errorcode[failure.errno]} at operation {k} of {count}: {played.recorder.operations[k]}"
        failed = answer.code == 1 and re.search(r"\d of \d cells failed: r/failed", answer.out) is not None
        assert answer.code in (0, 2) or failed, (what, answer)
        assert answer.err.count("Traceback") == 0, (what, answer)
        left = tree(played.here)
        if answer.code == 0:
            assert visible(left, played.command.out) == visible(played.after, played.command.out), what
        elif str(sorted(left.items())) not in checked:
            checked.add(str(sorted(left.items())))
            played.check(left, what, failed or played.name.startswith("compare"))
    record_property(
        "tried",
        (
            f"failing file operations, {played.name.replace(' over', ' over an earlier result')}",
            len(some(list(range(count)))),
        ),
    )
