"""Word problems solved by a network whose tokens buy: what counts as right, and that answers are kept."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from walras.experiments.benchmarks.token_markets import problems


def test_shares_intervals_and_differences() -> None:
    right = {"dense": [True, True, False, True], "half": [True, False, False, False]}
    rows = [
        {"form": form, "problem": i, "right": one, "tokens": 10 * (i + 1)}
        for form, own in right.items()
        for i, one in enumerate(own)
    ]
    table: Any = problems.summary(rows).set_index("form")
    assert table.loc["dense", ["right", "tokens"]].tolist() == [0.75, 25.0]
    assert table.loc["half", "less_dense"] == -0.5
    assert table.loc["half", "less_low"] == -1
    assert table.loc["half", "less_high"] == 0
    assert table.loc["dense", "low"] == pytest.approx(0.3006, abs=1e-4)  # Wilson, 3 of 4
    assert table.loc["dense", "high"] == pytest.approx(0.9544, abs=1e-4)


def test_answers_that_are_there_are_not_generated_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = [{"question": f"q{i}", "answer": f"some steps\n#### {i}"} for i in range(4)]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in told))
    asked: list[tuple[Any, ...]] = []

    def generate(network: Any, tokenizer: Any, questions: list[str], tokens: int) -> tuple[list[str], list[int]]:
        asked.append((network, *questions))
        if network == "half" and "q2" in questions:
            raise KeyboardInterrupt
        return [f"it is {question[1:] if network == 'dense' else 1}" for question in questions], [tokens] * 2

    monkeypatch.setattr(problems, "load", lambda *_: ("dense", SimpleNamespace(padding_side="right")))
    monkeypatch.setattr(problems, "load_model", lambda folder: folder.name)
    monkeypatch.setattr(problems, "_generate", generate)
    given: dict[str, Any] = {"sparse": [tmp_path / "half"], "data": tmp_path, "out": tmp_path / "out", "problems": 4}
    with pytest.raises(SystemExit):
        problems.main("m", **given, batch=2)
    assert asked == [("dense", "q0", "q1"), ("dense", "q2", "q3"), ("half", "q0", "q1"), ("half", "q2", "q3")]
    asked.clear()

    def right(network: Any, tokenizer: Any, questions: list[str], tokens: int) -> tuple[list[str], list[int]]:
        asked.append(tuple(questions))
        return ["1", "3"], [1, 1]

    monkeypatch.setattr(problems, "_generate", right)
    problems.main("m", **given, batch=2)
    assert asked == [("q2", "q3")]
    lines = [json.loads(line) for line in (tmp_path / "out" / "problems.jsonl").read_text().splitlines()]
    assert [row["right"] for row in lines] == [True] * 4 + [False, True, False, True]
    with pytest.raises(SystemExit):
        problems.main("m", **{**given, "problems": 5})
