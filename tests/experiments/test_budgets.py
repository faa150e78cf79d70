"""Several budgets and latency, from the command line and from Python, on a simulated clock."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml

import walras as package
from walras.errors import InputError, UnknownNameError
from walras.experiments.spec import RunSpec
from walras.experiments.store.run_folder import read_allocation
from walras.models import compact, inventory, macs
from walras.models.loading import load
from walras.models.resources import latency_measure
from walras.models.resources.parameters import parameters
from walras.models.units.projections import features

Walras = Callable[..., Any]


def simulated(model: Any) -> float:
    """Milliseconds: attention costs the more the first head has been paid for, the FFN by the neuron."""
    total = 2.0
    for layer in model.encoder.layer:
        heads, neurons = (features(m)[0] for m in (layer.attention.output.dense, layer.output.dense))
        total += (1.0 + 0.05 * heads if heads else 0) + 0.05 * neurons
    return total


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def timed(functions: Sequence[Any], repeats: int) -> list[float]:
        return [simulated(function.func) / 1e3 for function in functions]

    monkeypatch.setattr(latency_measure, "interleaved", timed)
    monkeypatch.setenv("WALRAS_CACHE", str(tmp_path / "cache"))


def small(models: Path, run: str) -> tuple[Any, Any]:
    dense = load(str(models / "bert"), device="cpu").model
    return dense, compact(dense, inventory(dense), read_allocation(run)["gate"] > 0)


@pytest.mark.nightly
@pytest.mark.parametrize("rule", ["ShadowPrice", "KwonSearch"])
def test_latency_alone(walras: Walras, models: Path, rule: str) -> None:
    options = ("--sentences", 16, "--rounds", 2, "--latency-batch", 4, "--mechanism", rule, "--recipe", "none")
    answer = walras("run", "--model", models / "bert", "--out", "r", "--resource", "latency", "--budget", 0.6, *options)
    assert answer.code == 0, answer.err
    dense, cut = small(models, "r")
    found = json.loads(Path("r/result.json").read_text())
    assert found["resource"] == "latency"
    assert found["budget"] == 0.6
    own = found["budgets"]["latency"]
    assert own["absolute"] == pytest.approx(simulated(cut))
    assert own["dense"] == pytest.approx(simulated(dense))
    assert own["used"] == found["used"] == pytest.approx(simulated(cut) / simulated(dense))
    assert own["used"] <= 0.6
    assert (own["unit"], own["binds"], own["budget"]) == ("ms", True, 0.6)
    units = inventory(dense)
    assert found["macs"] == pytest.approx(macs(dense, units, found["length"]).used(read_allocation("r")["gate"] > 0))
    assert yaml.safe_load(Path("r/config.yaml").read_text())["market"]["budget"] == {"latency": 0.6}
    again = walras("run", "--config", "r/config.yaml", "--out", "again", "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out)["budgets"] == found["budgets"]
    assert "latency binds" in answer.out


@pytest.mark.nightly
def test_two_budgets_tell_which_binds(walras: Walras, models: Path) -> None:
    options = ("--model", models / "bert", "--sentences", 16, "--rounds", 2, "--out", "r", "--recipe", "none")
    answer = walras("run", "--budget", "macs=0.95", "--budget", "latency=0.5", *options)
    assert answer.code == 0, answer.err
    found = json.loads(Path("r/result.json").read_text())
    assert [*found["budgets"]] == ["macs", "latency"]
    assert found["budget"] == 0.95
    assert found["used"] == found["budgets"]["macs"]["used"]
    assert not found["budgets"]["macs"]["binds"]
    assert found["budgets"]["latency"]["binds"]
    assert "macs does not bind" in " ".join(answer.out.split())
    rounds = pd.read_parquet("r/rounds.parquet")
    assert rounds["latency_budget"].iloc[-1] == 0.5
    assert (rounds["latency_used"] <= rounds["latency_budget"]).all()
    page = Path("r/report.html").read_text()
    assert ">latency</th><td>50.0 %</td>" in page
    resolved = yaml.safe_load(Path("r/config.yaml").read_text())
    assert list(resolved["market"]["budget"].items()) == [("macs", 0.95), ("latency", 0.5)]


def test_from_python(models: Path) -> None:
    model, tokenizer = load(str(models / "bert"), device="cpu")
    texts = [f"The cat sat on the mat {i}." for i in range(12)]
    given = {"macs": 0.7, "parameters": 0.5}
    result = package.run(model, tokenizer, texts, recipe="none", budget=given, rounds=1, length=16, block=8)
    keep = (result.gates > 0).numpy()
    counted = parameters(model, inventory(model, block=8))
    shares = result.summary.budgets
    assert shares["parameters"].absolute == counted.used(keep)
    assert shares["parameters"].used == pytest.approx(counted.used(keep) / counted.dense)
    assert all(shares[name].used <= share for name, share in given.items())
    removed = sum(p.numel() for p in model.parameters()) - sum(p.numel() for p in result.compact().parameters())
    assert counted.dense - counted.used(keep) == removed
    assert torch.equal(result.gates.cpu() > 0, torch.from_numpy(keep))
    with pytest.raises(InputError, match="UniformPriceAuction cannot clear budgets in macs and parameters"):
        package.run(model, tokenizer, texts, budget=given, mechanism="UniformPriceAuction", length=16)


@pytest.mark.spread
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--budget", "macs=0.5", "--budget", "macs=0.4"), "contradictory budgets: macs is given as 0.5 and as 0.4"),
        (("--budget", "0.5", "--budget", "macs=0.4"), "contradictory budgets: macs"),
        (("--budget", "watts=0.5"), "unknown resource 'watts'. Known: bytes, latency, macs, parameters"),
        (("--budget", "half"), "it must be a share like 0.5 or 50%, or of a resource like latency=0.6"),
        (("--budget", "latency="), "budget is ['latency=']"),
        (("--budget", "latency=1.5"), "budget is 1.5; it must be a share"),
        (("--budget", "macs=0.5", "--budget", "latency=nan"), "budget is nan"),
        (("--budget", "latency=0.01"), "without any unit the model takes"),
        (("--budget", "parameters=0.001"), "budget parameters=0.001 is smaller than the cheapest unit: L0.H0"),
        (
            ("--budget", "latency=0.5", "--mechanism", "PostedPrice"),
            "PostedPrice cannot clear budgets in latency: it sells a resource of which every unit uses a fixed amount. "
            "Rules for latency: ShadowPrice, PayAsBidAuction, KwonSearch",
        ),
        (
            ("--budget", "macs=0.5", "--budget", "latency=0.5", "--recipe", "kwon"),
            "KwonSearch cannot clear budgets in macs and latency: it sells one resource. Rules for several: Shadow",
        ),
        (("--budget", "latency=0.5", "--latency-table", "none.json"), "cannot read latency table 'none.json'"),
        (("--budget", "latency=0.5", "--latency-batch", "0"), "latency_batch is 0"),
    ],
)
def test_bad_budgets_are_refused_before_anything_is_written(
    walras: Walras, models: Path, options: tuple[str, ...], message: str
) -> None:
    answer = walras("run", "--model", models / "bert", "--out", "r", "--sentences", 16, "--recipe", "none", *options)
    assert message in answer.error
    assert not Path("r").exists()


@pytest.mark.nightly
def test_a_table_from_another_device_is_refused(walras: Walras, models: Path, tmp_path: Path) -> None:
    options = ("run", "--model", models / "bert", "--sentences", 16, "--budget", "latency=0.6", "--recipe", "random")
    assert walras(*options, "--out", "first").code == 0
    (file,) = (tmp_path / "cache").iterdir()
    table = json.loads(file.read_text())
    table["setting"]["device"] = "Abacus 3000"
    Path("table.json").write_text(json.dumps(table))
    answer = walras(*options, "--out", "r", "--latency-table", "table.json")
    assert "was measured on Abacus 3000; this run is on " in answer.error
    assert not Path("r").exists()
    assert walras(*options, "--out", "r", "--latency-table", file).code == 0


def test_budgets_as_settings() -> None:
    def shares(**given: Any) -> list[tuple[str, float]]:
        return list(RunSpec.parse(given).market.budget.items())

    assert shares(budget=["0.5"]) == [("macs", 0.5)]
    assert shares(budget=["0.5"], resource="latency") == [("latency", 0.5)]
    assert shares(budget=["latency=0.6", "0.5"]) == [("latency", 0.6), ("macs", 0.5)]
    assert shares(budget={"latency": 0.6, "macs": 1}) == [("latency", 0.6), ("macs", 1.0)]
    assert shares(budget={"latency": 0.6, "macs": 0.5}, resource="macs") == [("macs", 0.5), ("latency", 0.6)]
    assert shares(budget={"MACs": "50%"}) == [("macs", 0.5)]
    bad: list[dict[str, Any]] = [
        {"budget": {}},
        {"budget": {"macs": "x"}},
        {"besides": 3},
        {"besides": {"latency": None}},
        {"budget": {"macs": 0.5, "MACS": 0.4}},
    ]
    for wrong in bad:
        with pytest.raises(InputError):
            RunSpec.parse(wrong)
    with pytest.raises(UnknownNameError, match="unknown resource 'watts'"):
        RunSpec.parse({"budget": 0.5, "besides": {"watts": 0.5}})
