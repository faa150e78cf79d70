"""Accuracy at equal tokens behind gateways, before a server that repeats what it is asked."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stub_upstream import StubUpstream

from walras.errors import InputError
from walras.experiments.benchmarks.reasoning import served, served_plan
from walras.experiments.benchmarks.reasoning.served_asking import LIMIT, Answer, Asker, gateway
from walras.experiments.benchmarks.reasoning.served_plan import CAPS, POLICIES, best_cap, read_plan
from walras.experiments.benchmarks.reasoning.served_questions import GSM8K, TRIVIAL, Question, mixed
from walras.experiments.queries.predictors import Ridge, save_predictor
from walras.files.locks import one_writer

NUMBERS = {"problems": 12, "trivial": 6, "training": 30, "cells": 2}


@pytest.fixture
def upstream() -> Iterator[StubUpstream]:
    with StubUpstream() as running:
        yield running


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Problems of 5 to 64 words, of which the last is the answer of all but every fifth."""
    folder, draw = tmp_path / "gsm8k", np.random.default_rng(0)
    folder.mkdir()
    for split, count in (("train", 30), ("test", 12)):
        rows = []
        for i in range(count):
            words = int(draw.integers(4, 64))
            wrong = 1 if i % 5 == 0 else 0
            rows.append({"question": f"{split} " + "why " * (words - 1) + str(i), "answer": f"so\n#### {i + wrong:,}"})
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def answer(id: str, used: int, right: bool = True, cut: bool = False) -> Answer:
    return Answer(id, GSM8K, "x", right, used, cut, LIMIT, 0.0)


def test_the_last_number_counts() -> None:
    assert Question("x", GSM8K, "?", 18.0).right("9 + 9 = 18 eggs")
    assert not Question("x", GSM8K, "?", 18.0).right("18 - 9")


def test_training_and_test_have_nothing_in_common_and_trivial_answers_are_right(data: Path) -> None:
    train, test = mixed(data, "train", 30, 400, 3), mixed(data, "test", 12, 400, 3)
    assert not {q.text for q in train} & {q.text for q in test}
    assert len({q.text for q in train + test}) == len(train + test) == len({q.id for q in train + test})
    assert [q.kind for q in test] != sorted(q.kind for q in test)  # shuffled
    assert mixed(data, "test", 12, 400, 3) == test
    for question in train + test:
        numbers = [int(word) for word in question.text.replace("?", "").replace(",", "").split() if word.isdigit()]
        if " plus " in question.text:
            assert question.answer == sum(numbers)
        elif " minus " in question.text:
            assert question.answer == numbers[0] - numbers[1]
        elif "larger" in question.text:
            assert question.answer == max(numbers)
        elif question.kind == TRIVIAL:
            assert question.answer == numbers[0] + ("right after" in question.text)
    with pytest.raises(InputError, match="has 12 problems; 13 are asked for"):
        mixed(data, "test", 13, 1, 0)


def test_the_fixed_cap_is_the_one_that_answers_most() -> None:
    cheap, dear = [answer(f"c{i}", 10) for i in range(6)], [answer(f"d{i}", 100) for i in range(2)]
    assert best_cap(cheap + dear, 10.0) == 10  # 80 tokens: six answers of 10; a larger cap lets nobody answer more
    assert best_cap(dear + cheap, 10.0) == 10  # first come, first served: two of 100 would leave nothing
    assert best_cap(cheap + dear, 100.0) == 100
    assert best_cap([answer("a", 5, right=False), answer("b", 60)], 40.0) == 60
    assert best_cap([answer("a", 40, cut=True), answer("b", 60)], 100.0) == 60


def test_a_gateway_gives_one_budget_to_all_requests(upstream: StubUpstream, tmp_path: Path) -> None:
    """Uniform: an equal share each, which cuts off what is longer; unlimited: the first get all that there is."""
    texts = ["a b c 4", " ".join("x" * 9) + " 10", "1 2", " ".join("y" * 40)]
    questions = [Question(str(i), GSM8K, text, 10.0) for i, text in enumerate(texts)]
    found = {}
    for policy in ("uniform", "unlimited"):
        with gateway(upstream.url, 32, 4, policy, predictor(tmp_path)) as url:
            heard: list[Answer] = []
            found[policy] = asyncio.run(Asker(url, "echo").ask(questions, 1, heard.append))
            assert heard == found[policy]
    even, first = found["uniform"], found["unlimited"]
    assert [(a.granted, a.used, a.cut, a.right) for a in even] == [
        (8, 4, False, False), (8, 8, True, False), (8, 2, False, False), (8, 8, True, False)
    ]  # fmt: skip
    assert [(a.granted, a.used, a.right) for a in first] == [
        (32, 4, False),
        (28, 10, True),
        (18, 2, False),
        (16, 16, False),
    ]


def test_what_a_server_refuses_or_cannot_do_is_told(upstream: StubUpstream) -> None:
    question = Question("q", GSM8K, "a 1", 1.0)
    with pytest.raises(InputError, match=r"answers q with status 500: .*out of memory"):
        asyncio.run(Asker(upstream.url, "error").ask([question], 2, print))
    with pytest.raises(InputError, match="cannot be worked with: ConnectError"):
        asyncio.run(Asker("http://127.0.0.1:1/v1", "echo").ask([question], 2, print))


def test_measured_once_and_gone_on_with_after_a_kill(upstream: StubUpstream, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    served.main("echo", data, out, upstream.url, **NUMBERS)
    table = pd.read_csv(out / "served.csv")
    plan = read_plan(out, "echo", (18, 6), 0)
    assert plan is not None
    assert list(zip(table["policy"], table["budget"], strict=True)) == plan.cells()
    training = [json.loads(line) for line in (out / "served_training.jsonl").read_text().splitlines()]
    assert plan.mean == pytest.approx(np.mean([row["used"] for row in training]))
    assert plan.budgets == tuple(round(share * plan.mean * 18) for share in served_plan.SHARES)
    assert len(training) == 45
    assert not any("test" in row["id"] for row in training)

    lines = [json.loads(line) for line in (out / "served_cells.jsonl").read_text().splitlines()]
    for row, (_, told) in zip(sorted(lines, key=lambda one: plan.cells().index((one["policy"], one["budget"]))),
                              table.iterrows(), strict=True):  # fmt: skip
        answers = row["answers"]
        assert [a["id"] for a in answers] == [q.id for q in mixed(data, "test", 12, 6, 0)]
        assert told["used"] == sum(a["used"] for a in answers) <= row["budget"]
        assert told["accuracy"] == pytest.approx(np.mean([a["right"] for a in answers]), abs=1e-4)
        assert told["answered"] == sum(a["granted"] > 0 for a in answers)
        assert told["low"] <= told["accuracy"] <= told["high"]
        assert all(a["used"] <= a["granted"] for a in answers)
    clear = table[table["policy"] == "clear"].set_index("budget")["accuracy"]
    apart = table["budget"].map(clear) - table["accuracy"]
    assert apart.to_numpy() == pytest.approx(table["clear_minus"].to_numpy(), abs=1e-4)
    assert (table["accuracy"] > 0).any()
    assert (table["clear_minus"] != 0).any()

    asked, before = len(upstream.stub.seen), (out / "served.csv").read_bytes()
    served.main("echo", data, out, upstream.url, **NUMBERS)
    assert (len(upstream.stub.seen), (out / "served.csv").read_bytes()) == (asked, before)
    kept = [line for line in lines if line["policy"] != "uniform"]
    (out / "served_cells.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))
    served.main("echo", data, out, upstream.url, **NUMBERS)
    again = pd.read_csv(out / "served.csv").drop(columns="seconds")
    pd.testing.assert_frame_equal(
        again[again["policy"] != "clear"], table[table["policy"] != "clear"].drop(columns="seconds")
    )
    assert 0 < len(upstream.stub.seen) - asked <= 3 * 18


def test_training_answers_that_are_there_are_kept(upstream: StubUpstream, data: Path, tmp_path: Path) -> None:
    questions, file = mixed(data, "train", 10, 2, 0), tmp_path / "training.jsonl"
    kept = Answer(questions[3].id, questions[3].kind, "from before", True, 7, False, LIMIT, 0.0)
    file.write_text(json.dumps(kept.plain()) + "\n")
    found = asyncio.run(served.train(Asker(upstream.url, "echo"), questions, 4, file))
    assert [a.id for a in found] == [q.id for q in questions]
    assert found[3] == kept
    assert len(upstream.stub.seen) == 11
    assert len(file.read_text().splitlines()) == 12


@pytest.mark.nightly
def test_a_folder_of_another_measurement_is_refused(upstream: StubUpstream, data: Path, tmp_path: Path) -> None:
    served.main("echo", data, tmp_path / "out", upstream.url, **NUMBERS)
    with pytest.raises(InputError, match="is of another measurement"):
        read_plan(tmp_path / "out", "other", (18, 6), 0)
    with pytest.raises(SystemExit):
        served.main("echo", data, tmp_path / "out", upstream.url, **{**NUMBERS, "trivial": 5})


def test_one_folder_has_one_measurement_at_a_time(upstream: StubUpstream, data: Path, tmp_path: Path) -> None:
    with one_writer(tmp_path / "out"), pytest.raises(SystemExit):
        served.main("echo", data, tmp_path / "out", upstream.url, **NUMBERS)
    assert upstream.stub.seen == []


def test_every_policy_is_one_that_the_gateway_knows() -> None:
    assert POLICIES == ("clear", "uniform", "fixed-cap", "unlimited")
    assert CAPS[-1] == LIMIT


def predictor(folder: Path) -> Path:
    """A predictor that says the same of all."""
    save_predictor(Ridge(size=4).fit(["a b"] * 12, np.full(12, 5.0), LIMIT), folder / "predictor")
    return folder / "predictor"
