"""Thresholds from texts: labels, figures, training, and what a folder must hold."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from walras.errors import InputError
from walras.experiments.queries.predictors import (
    PREDICTORS,
    Encoder,
    Prediction,
    Problem,
    Ridge,
    evaluate,
    load_predictor,
    read_problems,
    save_predictor,
    threshold_label,
)
from walras.experiments.queries.predictors.ridge import features

Walras = Callable[..., Any]


def problem(tokens: tuple[int, ...], correct: tuple[bool, ...], censored: tuple[bool, ...] | None = None) -> Problem:
    return Problem("text", tokens, correct, censored or (False,) * len(tokens))


def corpus(n: int, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Texts whose need is in their words: each "step" costs 50 tokens, and "unsolvable" ones have no answer."""
    random = np.random.default_rng(seed)
    steps, hopeless = random.integers(1, 12, n), random.random(n) < 0.3
    words = ["the cat sat", "a dog ran", "the man played", "a woman ate"]
    texts = [
        f"{words[int(random.integers(4))]} {'step ' * int(k)}{'unsolvable' if bad else 'apple'}"
        for k, bad in zip(steps, hopeless, strict=True)
    ]
    noise = np.exp(0.1 * random.standard_normal(n))
    return texts, np.where(hopeless, np.inf, 50.0 * steps * noise)


def test_labels_by_hand() -> None:
    assert threshold_label(problem((100, 200, 300), (True, True, False)), 0.1) == pytest.approx(110)
    assert threshold_label(problem((100, 200), (True, True)), 0.5) == 150
    assert threshold_label(problem((100, 200), (False, False))) == np.inf
    assert np.isnan(threshold_label(problem((100, 200), (False, False), (False, True))))  # cut off: not known
    assert threshold_label(problem((100, 200), (True, False), (False, True))) == 100


def test_figures_by_hand() -> None:
    truth = np.array([100.0, 200, 400, 800, np.inf, np.nan])
    perfect = evaluate(Prediction(np.array([100.0, 200, 400, 800, 5, 5]), np.array([1.0, 1, 1, 1, 0, 0])), truth)
    assert (perfect.problems, perfect.solved, perfect.r2, perfect.spearman, perfect.covered) == (5, 4, 1, 1, 1)
    assert perfect.brier == 0
    assert perfect.brier_constant == pytest.approx(0.8 * 0.2)
    wrong = evaluate(Prediction(np.array([800.0, 400, 200, 100, 5, 5]), np.full(6, 0.5)), truth)
    assert wrong.spearman == -1
    assert wrong.r2 < 0
    assert wrong.covered == 0.5
    assert wrong.brier == 0.25


def test_ridge_learns_what_words_tell() -> None:
    texts, threshold = corpus(400)
    found = Ridge().fit(texts[:300], threshold[:300], 2048.0)
    fit = evaluate(found.predict(texts[300:]), threshold[300:])
    assert fit.r2 > 0.85
    assert fit.spearman > 0.9
    assert fit.brier < 0.3 * fit.brier_constant
    again = Ridge().fit(texts[:300], threshold[:300], 2048.0).predict(texts[300:])
    assert (again.threshold == found.predict(texts[300:]).threshold).all()
    assert found.predict([]).threshold.shape == (0,)
    assert found.predict([""]).threshold.item() <= 2048


def test_features_do_not_depend_on_the_process() -> None:
    row = features(["The cat, 12 = x"], 16)[0]
    assert np.linalg.norm(row[:16]) == pytest.approx(1)
    assert row[16:].tolist() == pytest.approx(np.log1p([15, 6, 1, 0, 0, 1, 0, 2]).tolist())


@pytest.mark.nightly
def test_encoder_learns_and_reloads(models: Path, tmp_path: Path) -> None:
    texts, threshold = corpus(96)
    told: list[int] = []
    encoder = Encoder(model=str(models / "bert"), epochs=10, rate=3e-3, device="cpu")
    found = encoder.fit(texts, threshold, 2048.0, lambda step, steps: told.append(steps))
    assert told == [60] * 60
    fit = evaluate(found.predict(texts), threshold)
    assert fit.r2 > 0.5  # of the problems that it was trained on
    assert fit.brier < fit.brier_constant
    save_predictor(found, tmp_path / "p", fit)
    again = load_predictor(tmp_path / "p").predict(texts)
    np.testing.assert_allclose(again.threshold, found.predict(texts).threshold, rtol=1e-5)
    np.testing.assert_allclose(again.chance, found.predict(texts).chance, rtol=1e-5)


def traces(path: Path, n: int = 120) -> Path:
    texts, threshold = corpus(n)
    lines = [
        {"text": text, "samples": [{"tokens": int(min(t, 2000)), "correct": bool(np.isfinite(t))}]}
        for text, t in zip(texts, threshold, strict=True)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_learn_then_allocate(walras: Walras, tmp_path: Path) -> None:
    answer = walras("learn", traces(tmp_path / "t.jsonl"), "--out", tmp_path / "p", "--json")
    assert answer.code == 0, answer.err
    fit = json.loads(answer.out)
    assert fit["problems"] == 24
    assert fit["r2"] > 0.5
    assert json.loads((tmp_path / "p" / "predictor.json").read_text())["held_out"] == fit
    queries = tmp_path / "q.jsonl"
    records = [{"id": i, "text": "the cat sat " + "step " * (1 + i % 10) + "apple"} for i in range(40)]
    queries.write_text("".join(json.dumps(r) + "\n" for r in (*records, {"id": "x"})))
    options = ("--budget", 4000, "--predictor", tmp_path / "p", "--on-bad", "skip", "--out", tmp_path / "g.jsonl")
    assert walras("allocate", queries, *options).code == 0
    grants = [json.loads(line) for line in (tmp_path / "g.jsonl").read_text().splitlines()]
    assert grants[-1]["status"] == "bad"
    short, long = (sum(g["max_tokens"] > 0 for g in grants[:40] if int(g["id"]) % 10 in k) for k in ((0, 1), (8, 9)))
    assert short == 8 > long
    assert 0 < sum(g["max_tokens"] for g in grants) <= 4000


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1 of the traces is no"),
        ('{"text": "a"}', "line 1 of the traces has no 'samples'"),
        ('{"text": "a", "samples": []}', "line 1 of the traces has no samples"),
        (
            '\n{"text": null, "samples": [{"tokens": 1, "correct": true}]}',
            "line 2 .*: text is None; .* a text",
        ),
        ('{"text": 7, "samples": [{"tokens": 1, "correct": true}]}', "text is 7"),
        ('{"text": "\\ud800", "samples": [{"tokens": 1, "correct": true}]}', "line 1 of the traces is no .* character"),
        ('{"text": "a", "samples": [{"tokens": -1, "correct": true}]}', r"samples\[0\]: tokens is -1"),
        ('{"text": "a", "samples": [{"tokens": 1.5, "correct": true}]}', "tokens is 1.5"),
        ('{"text": "a", "samples": [{"tokens": true, "correct": true}]}', "tokens is True"),
        ('{"text": "a", "samples": [{"tokens": 1e400, "correct": true}]}', "tokens is inf"),
        ('{"text": "a", "samples": [{"tokens": 1' + "0" * 400 + "}]}", "tokens is a number of more than"),
        ('{"text": "a", "samples": [{"tokens": 1' + "0" * 5000 + "}]}", "line 1 of the traces is no"),
        ('{"text": "a", "samples": [{"tokens": 1, "correct": "no"}]}', "correct is 'no'; it must be true or false"),
        ('{"text": "a", "samples": [{"tokens": 1}]}', "has no 'correct'"),
        ('{"text": "a", "samples": [{"tokens": 1, "correct": true, "censored": 0}]}', "censored is 0"),
        ('{"text": "a", "samples": [7]}', "samples\\[0\\] holds 7"),
        ('{"text": "a", "samples": {}}', "samples is {}; it must be a list"),
        ("[" * 200_000, "line 1 of the traces is no .* nested too deeply"),
        ("7", "line 1 of the traces holds 7"),
        ("", "holds no problem"),
    ],
)
def test_bad_traces(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "t.jsonl").write_text(line)
    with pytest.raises(InputError, match=message):
        read_problems(tmp_path / "t.jsonl")


def test_predictors_take_parameters_by_name() -> None:
    assert PREDICTORS.make("RIDGE:size=64") == Ridge(size=64)
    assert PREDICTORS.make("encoder:epochs=2,rate=1e-4", seed=5, model=None) == Encoder(epochs=2, rate=1e-4, seed=5)
    texts, threshold = corpus(60)
    assert Ridge(size=64).fit(texts, threshold, 100.0).state()[0]["mean"].shape == (72,)
    for spec, message in (
        ("ridge:size=0", "size is 0"),
        ("encoder:epochs=0", "epochs is 0"),
        ("encoder:rate=0", "rate"),
    ):
        with pytest.raises(InputError, match=message):
            PREDICTORS.make(spec)
    for entry in PREDICTORS.describe():
        assert len(entry.about.split()) > 8


def test_bad_folders_and_options(walras: Walras, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no sound predictor"):
        load_predictor(tmp_path)
    texts, threshold = corpus(40)
    save_predictor(Ridge().fit(texts, threshold, 100.0), tmp_path / "p")
    content = json.loads((tmp_path / "p" / "predictor.json").read_text())
    for change, message in (({"format": 9}, "has format 9"), ({"predictor": "rigde"}, "Did you mean 'ridge'")):
        (tmp_path / "p" / "predictor.json").write_text(json.dumps({**content, **change}))
        with pytest.raises(InputError, match=message):
            load_predictor(tmp_path / "p")
    with pytest.raises(InputError, match="cap is 0"):
        Ridge().fit(texts, threshold, 0.0)
    with pytest.raises(InputError, match="valid: 10 or more"):
        Ridge().fit(texts[:9], threshold[:9], 100.0)
    few = traces(tmp_path / "few.jsonl", 12)
    assert "valid: 20 or more" in walras("learn", few, "--out", tmp_path / "n").error
    assert "Did you mean 'encoder'" in walras("learn", few, "--out", tmp_path / "n", "--predictor", "encoders").error
    assert not (tmp_path / "n").exists()
