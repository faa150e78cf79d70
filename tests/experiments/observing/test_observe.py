"""`walras observe` on tiny models: what it writes, and that every figure is what it says it is."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from report_pages import check_page

from walras.errors import InputError
from walras.experiments.observing.config import ObserveConfig
from walras.experiments.observing.network import ObservedNetwork, untrained
from walras.experiments.observing.observe import ObserveResult, observe
from walras.experiments.spec import SubjectSpec
from walras.experiments.subjects.subject import Subject, find_task
from walras.models import inventory, macs
from walras.models.attention import TopKeys, attention_market
from walras.models.attention.token_elimination import token_elimination
from walras.models.loading import load
from walras.models.resources.macs import PARTS

Walras = Callable[..., Any]
FILES = {
    "config.yaml", "observe.parquet", "layers.parquet", "result.json", "report.html", "frontier.png", "inequality.png",
    "heatmaps.png",
}  # fmt: skip


def row(table: pd.DataFrame, constrain: str, rule: str, budget: float | None, control: str = "none") -> pd.Series:
    same = table["budget"].isna() if budget is None else table["budget"] == budget
    rows = table[(table["constrain"] == constrain) & (table["rule"] == rule) & same & (table["control"] == control)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_a_row_a_setting_and_control(found: ObserveResult) -> None:
    counts = found.table.groupby(["constrain", "rule", "control"]).size().to_dict()
    per_pattern = {
        ("none", "unconstrained"): 1, ("top-k", "none"): 3, ("top-k", "random-k"): 3, ("none", "random-weights"): 1,
        ("top-k", "random-weights"): 3,
    }  # fmt: skip
    expected = {(p, *key): n for p in ("all", "first-half") for key, n in per_pattern.items()}
    assert counts == {**expected, ("tokens", "token-elimination", "none"): 3}
    assert len(found.layers) == 2 * len(found.table)
    assert set(found.layers.loc[found.layers["constrain"] == "first-half", "layer"]) == {0, 1}
    of_half = found.layers[found.layers["constrain"] == "first-half"]
    assert (of_half["constrained"] == (of_half["layer"] == 0)).all()


def test_the_metric_is_the_tasks_own(found: ObserveResult, settings: dict[str, Any]) -> None:
    task = find_task(SubjectSpec(task="stsb", data=settings["data"]))
    model, tokenizer = load(settings["model"], device="cpu")
    sizes = {"batch_size": 5, "length": 128}
    dense = task.evaluate(model, tokenizer, None, **sizes)
    assert row(found.table, "all", "none", None, "unconstrained")["value"] == pytest.approx(dense, abs=1e-6)
    assert (found.table.loc[found.table["control"] != "random-weights", "dense"] == found.summary.metric["dense"]).all()
    with attention_market(model, [TopKeys(2), None]):
        half = task.evaluate(model, tokenizer, None, **sizes)
    assert row(found.table, "first-half", "top-k", 2)["value"] == pytest.approx(half, abs=1e-6)
    with token_elimination(model, 4):
        fewer = task.evaluate(model, tokenizer, None, **sizes)
    assert row(found.table, "tokens", "token-elimination", 4)["value"] == pytest.approx(fewer, abs=1e-6)
    other = untrained(model, 0)
    random = row(found.table, "all", "none", None, "random-weights")
    assert random["value"] == random["dense"] == task.evaluate(other, tokenizer, None, **sizes)
    assert random["value"] != pytest.approx(dense, abs=1e-3)


def test_constrained_and_unconstrained_layers(found: ObserveResult) -> None:
    """What is constrained keeps k keys, by whatever rule; the layers above choose anew; those below do not move."""
    half, free = (
        row(found.table, "first-half", "top-k", 2),
        row(found.table, "first-half", "none", None, "unconstrained"),
    )
    assert half["constrained_kept"] == 2
    assert half["constrained_gini"] > half["constrained_before_gini"]
    assert half["unconstrained_gini"] == half["unconstrained_before_gini"]
    assert half["unconstrained_kept"] == half["keys"] == free["keys"]
    assert half["unconstrained_gini"] != pytest.approx(free["unconstrained_gini"], abs=1e-5)
    assert half["constrained_before_gini"] == pytest.approx(free["constrained_before_gini"], abs=1e-6)
    assert half["gini"] == pytest.approx((half["constrained_gini"] + half["unconstrained_gini"]) / 2)
    whole = row(found.table, "all", "top-k", 2)
    assert math.isnan(whole["unconstrained_gini"])
    assert whole["kept"] == whole["constrained_kept"] == 2
    lots = row(found.table, "first-half", "top-k", 2, "random-k")
    assert lots["constrained_kept"] == 2
    assert lots["constrained_mass"] < half["constrained_mass"] < 1


def test_only_layers_with_a_rule_are_taken_for_constrained(settings: dict[str, Any]) -> None:
    spec = SubjectSpec(model=settings["model"], task="stsb", data=settings["data"], device="cpu", batch_size=5)
    network = ObservedNetwork(Subject.load(spec, measured=False), [])
    assert network.under([None, TopKeys(2)])[1].constrained == {1}


def test_layers_that_come_first_cannot_answer(settings: dict[str, Any]) -> None:
    few = {**settings, "budgets": [2], "constrain": "second-half", "controls": "none", "eliminate": False}
    table = observe(ObserveConfig.parse(few)).table
    for name in ("gini", "entropy", "keys"):
        assert table[f"unconstrained_{name}"].nunique() == 1


def test_bounds_stand_beside_and_hold(found: ObserveResult) -> None:
    for t in (found.table, found.layers):
        assert (t["gini"] >= t["gini_bound"] - 1e-6).all()
        assert (t["gini_raw"] >= t["gini_raw_bound"] - 1e-6).all()
        assert (t["entropy"] <= t["entropy_bound"] + 1e-6).all()
    two = row(found.table, "all", "top-k", 2)
    assert two["entropy_bound"] == pytest.approx(math.log(2), abs=1e-6)
    assert two["gini_raw_bound"] > 0.5


def test_budgets_larger_than_the_sequence(found: ObserveResult) -> None:
    loose = row(found.table, "all", "top-k", 64)
    assert loose["active"] == 0
    assert loose["value"] == pytest.approx(loose["dense"], abs=1e-6)
    assert row(found.table, "all", "top-k", 2)["active"] == 1
    idle = found.table[found.table["inactive"]]
    assert set(idle["budget"]) == {64}
    assert set(idle["control"]) == {"none", "random-k", "random-weights"}
    assert set(idle["rule"]) == {"top-k", "token-elimination"}
    assert len(found.warnings) == 3
    most = found.summary.most_keys
    assert (
        f"top-k at 64 (first-half) changed nothing: no query of the split has more than {most} keys"
        in found.warnings[0]
    )
    assert found.warnings[-1].startswith("token-elimination at 64 (tokens)")


def test_compute(found: ObserveResult, settings: dict[str, Any]) -> None:
    """Masks run everything; in theory the mix alone shrinks; only token elimination runs less."""
    dense, sparse = row(found.table, "all", "none", None, "unconstrained"), row(found.table, "all", "top-k", 2)
    for part in (*PARTS, "total"):
        assert sparse[f"measured_{part}"] == dense[f"measured_{part}"]
        same = part not in ("mix", "total")
        assert (sparse[f"theoretical_{part}"] == dense[f"theoretical_{part}"]) == same
    assert sparse["theoretical_mix"] == pytest.approx(dense["theoretical_mix"] * 2 / _mean_keys(settings), rel=1e-9)
    fewer = row(found.table, "tokens", "token-elimination", 4)
    assert fewer["measured_total"] < 0.8 * dense["measured_total"]
    assert fewer["active"] > 0.2
    assert fewer["layers"] == "1"
    assert math.isnan(fewer["unconstrained_gini"])  # the first layer runs before anybody leaves
    for counted in ("measured", "theoretical"):
        assert found.table[f"{counted}_total"].to_numpy() == pytest.approx(
            found.table[[f"{counted}_{part}" for part in PARTS]].sum(axis=1).to_numpy()
        )
    model = load(settings["model"], device="cpu").model
    shortest, longest = (macs(model, inventory(model), n).dense for n in (3, found.summary.most_keys))
    assert shortest < dense["theoretical_total"] < dense["measured_total"] < longest


def _mean_keys(settings: dict[str, Any]) -> float:
    """Keys of a mean query: long sequences have more of them."""
    task = find_task(SubjectSpec(task="stsb", data=settings["data"]))
    tokenizer = load(settings["model"], device="cpu").tokenizer
    lengths = [len(tokenizer(t).input_ids) for e in task.dev for t in (e.first, e.second)]  # type: ignore[attr-defined]  # STS-B has it
    return float(sum(n * n for n in lengths) / sum(lengths))


@pytest.mark.nightly
def test_the_same_seed_gives_the_same_table(found: ObserveResult, settings: dict[str, Any]) -> None:
    again = observe(ObserveConfig.parse(settings))
    pd.testing.assert_frame_equal(again.table, found.table, check_exact=True)
    pd.testing.assert_frame_equal(again.layers, found.layers, check_exact=True)
    other = observe(ObserveConfig.parse({**settings, "seed": 1})).table
    moved = (other["value"] != found.table["value"]).to_numpy()
    assert set(found.table.loc[moved, "control"]) == {"random-k", "random-weights"}


@pytest.mark.parametrize(
    ("rule", "budget", "controls"),
    [
        pytest.param("sparsemax", 3.0, {"random-k"}, marks=pytest.mark.nightly),
        ("entmax", 3.0, {"random-k"}),
        pytest.param("threshold", 3.0, {"random-k"}, marks=pytest.mark.nightly),
        ("null-key", 0.5, set()),
    ],
)
def test_other_rules(rule: str, budget: float, controls: set[str], settings: dict[str, Any]) -> None:
    few = {**settings, "rule": rule, "budgets": budget, "constrain": "all", "controls": "random-k"}
    found = observe(ObserveConfig.parse(few)).table
    ours = row(found, "all", rule, budget)
    assert ours["active"] > 0.5
    if controls:  # found on training sentences, measured on others
        assert ours["kept"] == pytest.approx(budget, rel=0.2)
        assert row(found, "tokens", "token-elimination", budget)["measured_total"] < ours["measured_total"]
    else:
        assert ours["total"] == pytest.approx(budget, rel=0.2)
        assert ours["kept"] == ours["keys"]
    assert set(found["control"]) == {"none", "unconstrained", *controls}


def test_the_literal_tax_changes_nothing(settings: dict[str, Any]) -> None:
    few = {**settings, "rule": "literal", "budgets": [0.5, 4.0], "constrain": "all", "controls": "none"}
    found = observe(ObserveConfig.parse(few))
    assert found.table["value"].to_numpy() == pytest.approx(found.summary.metric["dense"], abs=1e-6)
    assert found.table["gini"].to_numpy() == pytest.approx(found.table["gini"].iloc[0], abs=1e-6)
    assert (found.table["active"] == 0).all()
    why = "changed nothing: the same price is taken from every score, and cancels in softmax"
    assert found.warnings == tuple(f"literal at {b} (all) {why}" for b in ("0.5", "4"))
    assert found.table["inactive"].tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("rule", "budgets", "why"),
    [
        ("sparsemax", [64, 2], "has an inactive budget: where its setting was sought, queries have no more keys"),
        ("threshold", [64, 2], "has an inactive budget: where its setting was sought, queries have no more keys"),
        ("null-key", [1.0, 0.5], "changed nothing: real keys may have all of attention, so that the null key gets"),
    ],
)
def test_budgets_that_cannot_bind(rule: str, budgets: list[float], why: str, settings: dict[str, Any]) -> None:
    """The row says so, and a warning why; rules that count keys move weights all the same."""
    few = {**settings, "rule": rule, "budgets": budgets, "constrain": "all", "controls": "none", "eliminate": False}
    found = observe(ObserveConfig.parse(few))
    loose, tight = (row(found.table, "all", rule, budget) for budget in budgets)
    assert (loose["inactive"], tight["inactive"]) == (True, False)
    assert (loose["active"] > 0.5) == (rule != "null-key")
    assert [text.startswith(f"{rule} at {budgets[0]:g} (all) {why}") for text in found.warnings] == [True]
    assert [r["inactive"] for r in found.summary.rows] == [False, True, False]


def test_a_decoder_has_causal_rows_and_keeps_its_tokens(models: Path, lines: Path) -> None:
    config = {"model": str(models / "gpt2"), "task": "text", "data": str(lines), "budgets": [3], "sentences": 4}
    found = observe(ObserveConfig.parse({**config, "device": "cpu"}))
    assert set(found.table["rule"]) == {"none", "top-k"}
    ours = row(found.table, "all", "top-k", 3)
    assert ours["dense"] == 1
    assert ours["value"] < 1
    assert 0 < ours["active"] < 1  # the first three queries of a text have no more than three keys
    assert ours["kept"] < 3
    assert row(found.table, "all", "none", None, "unconstrained")["theoretical_scores"] < ours["measured_scores"] / 1.5


def test_limit(settings: dict[str, Any]) -> None:
    few = {**settings, "limit": 3, "budgets": [2], "controls": "none", "constrain": "all"}
    assert observe(ObserveConfig.parse(few)).summary.sequences == 6


@pytest.mark.nightly
def test_command(walras: Walras, settings: dict[str, Any], tmp_path: Path) -> None:
    """Options go before the file; the folder has everything that the guide names."""
    file = tmp_path / "s.yaml"
    file.write_text(ObserveConfig.parse(settings).as_yaml(), encoding="utf-8")
    answer = walras("observe", "--config", file, "--constrain", "first-half", "--budgets", "64,2", "--out", "o")
    assert answer.code == 0, answer.err
    for text in (
        "Constrained: first-half",
        "Constrained: tokens",
        "random-weights",
        "Warning: top-k at 64",
        " inactive ",
        "o/report",
    ):
        assert text in answer.out, text
    assert {p.name for p in Path("o").iterdir()} == FILES
    result = json.loads(Path("o/result.json").read_text(encoding="utf-8"))
    assert result["constrain"] == {"first-half": [0]}
    assert result["metric"].keys() == {"name", "dense", "higher_is_better"}
    assert (result["rule"], result["unit"], result["budgets"]) == ("top-k", "keys per query", [64, 2])
    table = pd.read_parquet("o/observe.parquet")
    assert [r["value"] for r in result["rows"]] == table["value"].tolist()
    kept = ObserveConfig.parse(yaml.safe_load(Path("o/config.yaml").read_text(encoding="utf-8")))
    assert kept.scarcity.constrain == ("first-half",)
    assert (kept.scarcity.budgets, kept.subject.batch_size) == ((64.0, 2.0), 5)
    page = Path("o/report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 3
    assert "changed nothing: no query of the split has more than" in page
    assert page.count("<td>0 (inactive)") == 4  # top-k, keys drawn at random, the untrained model, token elimination
    check_page(page, Path("o"))


@pytest.mark.nightly
@pytest.mark.usefixtures("no_pictures")
def test_folders_are_only_replaced_where_that_is_wanted(
    walras: Walras, settings: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(ObserveConfig.parse({**settings, "limit": 4}).as_yaml(), encoding="utf-8")
    first = walras("observe", "--config", file, "--out", "o", "--json")
    assert json.loads(first.out)["sequences"] == 8
    second = walras("observe", "--config", file, "--out", "o").error
    assert second == "--out 'o' holds this observation, finished; use --overwrite to begin it anew"
    again = walras("observe", "--config", file, "--constrain", "1", "--out", "o", "--overwrite", "--json")
    assert json.loads(again.out)["constrain"] == {"1": [1]}
    assert set(pd.read_parquet("o/observe.parquet")["constrain"]) == {"1", "tokens"}
    Path("o/notes.txt").write_text("mine", encoding="utf-8")
    foreign = walras("observe", "--config", file, "--out", "o", "--overwrite").error
    assert "holds 'notes.txt', which is no part of an observation" in foreign
    assert Path("o/result.json").is_file()


@pytest.mark.nightly
@pytest.mark.usefixtures("no_pictures")
def test_an_interrupted_sweep_goes_on(
    walras: Walras, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {**settings, "limit": 4, "budgets": [4, 2], "constrain": ["first-half"]}
    file = tmp_path / "s.yaml"
    file.write_text(ObserveConfig.parse(few).as_yaml(), encoding="utf-8")
    whole = observe(ObserveConfig.parse(few), "whole")
    evaluate, done, last = ObservedNetwork._evaluated, [0], [5]

    def counted(self: ObservedNetwork, scarcity: Any) -> float:
        if done[0] == last[0]:
            raise KeyboardInterrupt
        done[0] += 1
        return evaluate(self, scarcity)

    monkeypatch.setattr(ObservedNetwork, "_evaluated", counted)
    stopped = walras("observe", "--config", file, "--out", "o")
    assert stopped.code == 130
    assert "--out o --resume goes on from there" in stopped.err
    assert {p.name for p in Path("o").iterdir()} == {"config.yaml", "evaluations"}
    assert walras("observe", "--config", file, "--out", "o").code == 130  # it goes on where it stands, and stops again
    other = walras("observe", "--config", file, "--limit", "3", "--out", "o", "--resume").error
    assert "begun with limit = 4, now it is 3" in other
    last[0] = -1
    answer = walras("observe", "--config", file, "--out", "o", "--resume")
    assert answer.code == 0, answer.err
    assert done[0] == 10  # 2 unconstrained, 2 budgets, 2 drawn at random, 2 eliminated, 2 untrained: each once
    for name in ("observe", "layers"):
        pd.testing.assert_frame_equal(pd.read_parquet(f"o/{name}.parquet"), pd.read_parquet(f"whole/{name}.parquet"))
    assert len(whole.table) == done[0]
    assert not Path("o/evaluations").exists()
    assert "nothing to resume" in walras("observe", "--config", file, "--out", "o", "--resume").error
    assert "--resume needs the folder" in walras("observe", "--config", file, "--resume").error


@pytest.mark.nightly
@pytest.mark.usefixtures("no_pictures")
def test_a_new_folder_each_time(walras: Walras, settings: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    few = {**settings, "limit": 4, "budgets": [2], "controls": [], "constrain": ["all"], "eliminate": False}
    file.write_text(ObserveConfig.parse(few).as_yaml(), encoding="utf-8")
    for _ in range(2):
        assert walras("observe", "--config", file).code == 0
    assert {p.name for p in Path("runs").iterdir()} == {"observe-stsb-top-k-seed0", "observe-stsb-top-k-seed0-1"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"constrain": "0,2"}, r"constrain is '0,2'; the model's layers are 0 to 1"),
        ({"length": 200}, r"length is 200; BertModel has positions for at most 128 tokens"),
        ({"task": "sst2"}, r"no trained weights for classifier\.bias"),
    ],
)
def test_what_only_the_model_can_tell(
    changes: dict[str, Any], message: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        observe(ObserveConfig.parse({**settings, **changes}), tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_untrained_weights_leave_the_generator_alone(settings: dict[str, Any]) -> None:
    model = load(settings["model"], device="cpu").model
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first, second, other = untrained(model, 0), untrained(model, 0), untrained(model, 1)
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))
    assert not first.training


def test_a_classifier(models: Path, glue: Path) -> None:
    config = {"model": str(models / "classifier"), "task": "sst2", "data": str(glue), "budgets": [2], "device": "cpu"}
    found = observe(ObserveConfig.parse({**config, "constrain": "1", "sentences": 4}))
    assert set(found.table["metric"]) == {"accuracy"}
    assert found.summary.sequences == 12
    assert row(found.table, "1", "top-k", 2)["constrained_kept"] == 2
