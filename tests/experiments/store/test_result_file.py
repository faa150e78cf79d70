"""Figures of `result.json`: all that are written are known, and each is of its type and range."""

import json
import math
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
from fuzzing import damaged_json, fuzzed, read_or_refused
from hypothesis import given

from walras.errors import InputError
from walras.experiments.outcome import BudgetUse, Metric, Summary, Timing
from walras.experiments.reports.sentence import in_one_sentence
from walras.experiments.reports.tables import result_card, result_table
from walras.experiments.store.result_file import RUN, TRAINING, check_result
from walras.experiments.store.run_folder import read_result
from walras.experiments.training.summary import TrainSummary

RESULT = asdict(
    Summary(
        metric=Metric("spearman", 0.8, 0.7, True), used=0.49, budget=0.5, resource="macs", macs=1e6, dense_macs=2e6,
        parameters=10, dense_parameters=20, bytes=40, dense_bytes=80, kept={"head": 3, "ffn": 1}, units=12, length=16,
        budgets={"macs": BudgetUse(0.5, 0.49, 0.1, True, 1e6, 2e6, "MACs")}, rounds=2, price=0.1, welfare=1.0,
        revenue=0.5, status="cleared", residual=-math.inf, method="", unit="nats", recipe=None,
        mechanism="ShadowPrice", valuation="fisher", strategy="truthful", task="text", model="bert", seed=0,
        protocol={"split": "dev", "rows": 500}, latency_ms={"32": Timing(2.0, 1.0)}, seconds=1.5,
    )
)  # fmt: skip
TRAINED = {
    **{name: RESULT[name] for name in (f.name for f in fields(TrainSummary)) if name in RESULT},
    "scores": {"accuracy": 0.8}, "dense_scores": {"accuracy": 0.9}, "untrained_scores": None, "held_out": 0.8,
    "price": None, "expected": None, "pricing": "tax", "cost": "macs", "taxed": "all", "epochs": 2, "steps": 9,
}  # fmt: skip
EARLIER = {
    "metric": {"name": "spearman", "dense": 0.8, "value": 0.7}, "used": 0.49, "budget": 0.5, "macs": 1e6,
    "dense_macs": 2e6, "length": 16, "task": "text", "model": "bert", "heads": 3, "ffn": 1, "units": 12,
}  # fmt: skip
BOTH = pytest.mark.parametrize("sound", [RESULT, TRAINED], ids=["run", "training"])


def test_every_figure_is_known() -> None:
    assert set(RUN) == {f.name for f in fields(Summary)}
    assert set(TRAINING) == {f.name for f in fields(TrainSummary)} == set(TRAINED)


@BOTH
def test_what_runs_write_passes(sound: dict[str, Any]) -> None:
    told = json.loads(json.dumps(sound))
    assert check_result(told, "result") == told
    assert check_result({**told, "of tomorrow": [1]}, "result")["of tomorrow"] == [1]
    assert check_result(EARLIER, "result") == EARLIER
    lost = {**told, "metric": {**told["metric"], "value": math.inf}}
    assert check_result(lost, "result") == lost


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"metric": {**RESULT["metric"], "value": "x"}}, r"result: metric: value is 'x'; it must be a finite number"),
    ({"metric": {**RESULT["metric"], "value": math.nan}}, r"result: metric: value is nan"),
    ({"metric": "x"}, r"result: metric holds 'x'; it must map names to values"),
    ({"budget": None}, r"result: budget is None; it must be a finite number from 0"),
    ({"used": -1}, r"result: used is -1"),
    ({"macs": 10**400}, r"result: macs is a number of more than 60 digits"),
    ({"dense_macs": 0}, r"result: dense_macs is 0; it must be a number above 0"),
    ({"parameters": 1.5}, r"result: parameters is 1\.5; it must be a whole number"),
    ({"dense_parameters": 0}, r"result: dense_parameters is 0"),
    ({"length": True}, r"result: length is True"),
    ({"kept": {"head": "all"}}, r"result: kept: head is 'all'"),
    ({"kept": [1]}, r"result: kept holds \[1\]"),
    ({"latency_ms": {"32": {"dense": 0.0, "value": 1.0}}}, r"result: latency_ms: 32: dense is 0"),
    ({"protocol": {"a": [1]}}, r"result: protocol: a is \[1\]; it must be a number or a text"),
    ({"recipe": 7}, r"result: recipe is 7; it must be a text"),
    ({"mechanism": None}, r"result: mechanism is None; it must be a text"),
]


@BOTH
@pytest.mark.parametrize(("change", "message"), WRONG)
def test_what_is_wrong_is_named(sound: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_result({**sound, **change}, "result")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"price": None}, r"result: price is None"),
        ({"status": 3}, r"result: status is 3; it must be a text"),
        ({"budgets": {"macs": {"budget": 0.5}}}, r"result: budgets: macs has no 'used'"),
        ({"residual": math.nan}, r"result: residual is nan"),
    ],
)
def test_figures_of_markets(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_result({**RESULT, **change}, "result")


@BOTH
def test_what_is_missing_is_named(sound: dict[str, Any]) -> None:
    for name in EARLIER.keys() - {"heads", "ffn", "units"}:
        with pytest.raises(InputError, match=f"result has no '{name}'"):
            check_result({key: value for key, value in sound.items() if key != name}, "result")
    contents: tuple[Any, ...] = ([], None, "x", 3)
    for content in contents:
        with pytest.raises(InputError, match="it must map names to values"):
            check_result(content, "result")


@fuzzed
@given(content=damaged_json(json.loads(json.dumps(RESULT))))
def test_a_result_is_read_or_refused(content: bytes, tmp_path: Path) -> None:
    """What is read can be told: by the table, the card and the sentence of a run."""
    (tmp_path / "result.json").write_bytes(content)
    found = read_or_refused(lambda: check_result(read_result(tmp_path), "result"))
    if found is not None and set(found) >= set(RESULT):
        result_card(found), result_table([found]), in_one_sentence(found)
