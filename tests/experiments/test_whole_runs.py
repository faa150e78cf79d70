"""`walras run` from settings to a run folder, on tiny models, and the commands that read what it left."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from transformers import AutoModel, AutoTokenizer, GPT2Config, GPT2ForSequenceClassification

from walras.agents import VALUATIONS
from walras.experiments.store.run_folder import RUN, read_allocation, read_result
from walras.market import SCHEDULES, read_trace
from walras.mechanisms import MECHANISMS, IndivisibleBids
from walras.models import compact, inventory, macs

Walras = Callable[..., Any]
RESULT = {"mechanism", "valuation", "task", "model", "seed", "rounds", "budget", "used", "price", "welfare", "revenue"}
TRACE = [
    "round", "agent", "kind", "layer", "index", "strategy",
    "cost", "value", "bid", "quantity", "price", "payment", "surplus", "wealth",
]  # fmt: skip


def trace_bytes(run: Path) -> list[bytes]:
    return [part.read_bytes() for part in sorted((run / "trace").iterdir())]


@pytest.fixture
def quick(walras: Walras, models: Path, lines: Path, no_pictures: None) -> Walras:
    """`walras run` on the tiny encoder and a dozen lines, with `--json`; the result and the folder."""

    def run(*options: object) -> tuple[dict[str, Any], Path]:
        base = (
            "--model",
            models / "bert",
            "--task",
            "text",
            "--data",
            lines,
            "--rounds",
            2,
            "--out",
            "r",
            "--json",
            "--recipe",
            "none",
        )
        answer = walras("run", *base, *options)
        assert (answer.code, answer.err) == (0, "")
        return json.loads(answer.out), Path("r")

    return run


@pytest.mark.nightly
def test_built_in_pairs(walras: Walras, models: Path) -> None:
    """The whole folder, against what it was computed from."""
    options = ("--rounds", 3, "--sentences", 64, "--seed", 7, "--recipe", "none")
    answer = walras("run", "--model", models / "bert", "--out", "r", *options)
    assert answer.code == 0, answer.err
    run = Path("r")
    assert {p.name for p in run.iterdir()} == set(RUN.parts) - {"weights.safetensors"}  # nothing was repaired
    assert [p.name for p in sorted((run / "trace").iterdir())] == [f"part-0000{i}.parquet" for i in (1, 2, 3)]

    result = json.loads((run / "result.json").read_text())
    assert result == read_result(run)
    assert result["files"].keys() == {"allocation.safetensors", "rounds.parquet", "trace"}
    assert result.keys() >= RESULT | {"metric"}
    assert (result["mechanism"], result["valuation"], result["task"]) == ("ShadowPrice", "fisher", "pairs")
    assert (result["model"], result["seed"], result["rounds"]) == (str(models / "bert"), 7, 3)
    assert result["budget"] == 0.5
    assert 0.3 < result["used"] <= 0.5
    assert result["metric"].keys() == {"name", "dense", "value", "higher_is_better"}
    assert result["metric"]["name"] == "spearman"
    assert -1 <= result["metric"]["value"] <= 1
    assert result["metric"]["value"] != result["metric"]["dense"]

    rounds = pd.read_parquet(run / "rounds.parquet")
    last = rounds.iloc[-1]
    assert rounds["round"].tolist() == [1, 2, 3]
    assert rounds["budget"].tolist() == pytest.approx([0.5 ** (1 / 3), 0.5 ** (2 / 3), 0.5])
    assert all(last[name] == result[name] for name in ("used", "price", "welfare", "revenue", "status"))
    assert result["revenue"] <= result["welfare"]

    trace = read_trace(run)
    assert list(trace.columns) == TRACE
    assert len(trace) == 3 * result["units"] == 3 * 12
    final = trace[trace["round"] == 3]
    assert (final["cost"] * final["quantity"]).sum() == pytest.approx(result["used"])
    assert final["payment"].sum() == pytest.approx(result["revenue"])

    allocation = read_allocation(run)
    assert allocation["gate"].tolist() == final["quantity"].tolist()
    assert allocation["layer"].tolist() == final["layer"].tolist()
    assert allocation["index"].tolist() == final["index"].tolist()
    assert [("head", "ffn")[k] for k in allocation["kind"]] == final["kind"].tolist()
    assert 0 < allocation["gate"].sum() < 12

    model = AutoModel.from_pretrained(models / "bert", attn_implementation="eager")
    units = inventory(model)
    dense = macs(model, units, 128)
    assert result["dense_macs"] == dense.dense
    smaller = compact(model, units, torch.from_numpy(allocation["gate"] > 0))
    assert result["macs"] == pytest.approx(macs(smaller, inventory(smaller), 128).dense)

    settings = yaml.safe_load((run / "config.yaml").read_text())
    assert settings.keys() == {"recipe", "seed", "subject", "market"}
    assert (settings["market"]["budget"], settings["seed"]) == ({"macs": 0.5}, 7)
    assert settings["subject"]["task"] == "pairs"
    for shown in (
        "ShadowPrice",
        "spearman",
        f"{result['price']:.3g}",
        f"{result['metric']['dense']:.3f}",
        "r/report",
        "of the MACs",
    ):
        assert shown in answer.out

    again = walras("run", "--config", run / "config.yaml", "--out", "again", "--json")
    assert again.code == 0, again.err
    kept = {name: result[name] for name in ("files", "network")}
    assert {**json.loads(again.out), "seconds": 0, **kept} == {**result, "seconds": 0}
    assert trace_bytes(Path("again")) == trace_bytes(run)
    for name in (
        "config.yaml",
        "allocation.safetensors",
        "price.png",
        "allocation.png",
        "bids.png",
        "lorenz.png",
        "frontier.png",
    ):
        assert (run / name).read_bytes() == (Path("again") / name).read_bytes(), name


def test_json_is_the_result(quick: Walras) -> None:
    printed, run = quick()
    written = json.loads((run / "result.json").read_text())
    assert len(written.pop("network")) == 64
    assert written.pop("versions").keys() == {"walras", "torch", "transformers"}
    assert written.pop("files").keys() == {"allocation.safetensors", "rounds.parquet", "trace"}
    assert printed == written


def test_options_go_before_the_config_file(quick: Walras, tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("budget: 0.75\nseed: 3\nprice: null\nmarket:\n  valuation: random\n")
    printed, run = quick("--config", settings, "--seed", 4)
    assert (printed["budget"], printed["seed"], printed["valuation"]) == (0.75, 4, "random")
    assert yaml.safe_load((run / "config.yaml").read_text())["seed"] == 4


COMMON = ("fisher", "partial-fisher", "knowledge", "random")


@pytest.mark.parametrize(
    "valuation", [name if name in COMMON else pytest.param(name, marks=pytest.mark.nightly) for name in VALUATIONS]
)
def test_every_valuation(quick: Walras, valuation: str) -> None:
    printed, run = quick("--valuation", valuation)
    assert printed["valuation"] == valuation
    assert printed["unit"] == VALUATIONS[valuation].unit
    assert 0 < printed["used"] <= 0.5
    assert printed["metric"]["dense"] == pytest.approx(1, abs=1e-6)
    assert 0 < printed["metric"]["value"] < 1
    assert read_trace(run)["value"].nunique() >= 12


SLOW = ("VCG", "AscendingClock")
UNIT_RULES = [name for name, rule in MECHANISMS.items() if rule().fits(IndivisibleBids(torch.tensor([1.0])))]


@pytest.mark.spread
@pytest.mark.parametrize(
    "mechanism", [pytest.param(name, marks=[pytest.mark.nightly] * (name in SLOW)) for name in UNIT_RULES]
)
def test_every_mechanism(quick: Walras, mechanism: str) -> None:
    printed, _ = quick("--mechanism", mechanism, "--schedule", "constant", "--reentry", "--valuation", "magnitude")
    assert printed["mechanism"] == mechanism
    assert (0.1 if mechanism == "AscendingClock" else 0.3) < printed["used"] <= 0.5  # its steps leave supply unsold


@pytest.mark.nightly
def test_the_rules_agree_on_additive_values(quick: Walras) -> None:
    runs = {}
    for mechanism in UNIT_RULES:
        printed, run = quick("--mechanism", mechanism, "--overwrite", "--schedule", "constant", "--reentry")
        runs[mechanism] = (printed["used"], read_trace(run)["quantity"].tolist()[-12:])
    assert runs["ShadowPrice"] == runs["UniformPriceAuction"] == runs["PostedPrice"]


@pytest.mark.nightly
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule(quick: Walras, schedule: str) -> None:
    _, run = quick("--schedule", schedule, "--budget", 0.4, "--rounds", 3, "--reentry")
    budgets = pd.read_parquet(run / "rounds.parquet")["budget"].tolist()
    expected = {
        "linear": [0.8, 0.6, 0.4], "geometric": [0.4 ** (1 / 3), 0.4 ** (2 / 3), 0.4], "constant": [0.4] * 3,
        "step": [1, 0.4, 0.4], "cycle": [1, 0.7, 0.4],
    }  # fmt: skip
    assert budgets == pytest.approx(expected[schedule])


@pytest.mark.nightly
def test_only_with_reentry_may_losers_come_back(quick: Walras) -> None:
    options = ("--valuation", "random", "--rounds", 5, "--schedule", "constant")
    entered = []
    for more in (("--no-reentry",), ("--reentry", "--overwrite")):
        _, run = quick(*options, *more)
        entered.append(pd.read_parquet(run / "rounds.parquet")["entered"].sum())
    assert entered[0] == 0 < entered[1]


@pytest.mark.nightly
@pytest.mark.parametrize(("block", "units"), [(1, 8 + 128), (20, 8 + 8), (64, 8 + 2), (1000, 8 + 2)])
def test_blocks_of_neurons(quick: Walras, block: int, units: int) -> None:
    printed, run = quick("--block", block)
    assert printed["units"] == units
    assert read_allocation(run)["width"].sum() == 2 * (32 + 64)


@pytest.mark.nightly
def test_a_tax(quick: Walras) -> None:
    untaxed, _ = quick("--rounds", 1)
    taxed, _ = quick("--rounds", 1, "--mechanism", f"PostedPrice:price={2 * untaxed['price']!r}", "--overwrite")
    assert taxed["price"] == 2 * untaxed["price"]
    assert taxed["status"] == "slack"
    assert taxed["used"] < untaxed["used"]
    free, run = quick("--rounds", 1, "--mechanism", "PostedPrice", "--overwrite")
    assert (free["price"], free["revenue"], free["status"]) == (0, 0, "rationed")
    assert read_trace(run)["payment"].sum() == 0


def test_the_whole_model_may_be_bought(quick: Walras) -> None:
    printed, _ = quick("--budget", 1)
    assert printed["used"] == pytest.approx(1)
    assert printed["metric"]["value"] == pytest.approx(printed["metric"]["dense"])


@pytest.mark.nightly
def test_decoder_on_text(walras: Walras, models: Path, lines: Path, no_pictures: None) -> None:
    answer = walras(
        "run",
        "--model",
        models / "gpt2",
        "--task",
        "text",
        "--data",
        lines,
        "--out",
        "r",
        "--json",
        "--length",
        64,
        "--recipe",
        "none",
    )
    assert answer.code == 0, answer.err
    printed = json.loads(answer.out)
    assert printed["metric"]["dense"] == 1
    assert 0 <= printed["metric"]["value"] < 1
    assert printed["length"] == 64


@pytest.mark.nightly
def test_similarity_from_a_glue_folder(walras: Walras, models: Path, glue: Path, no_pictures: None) -> None:
    values = []
    for more in (("--labels",), ("--label-free",)):
        out = "-".join(("r", *more))
        answer = walras(
            "run",
            "--model",
            models / "bert",
            "--task",
            "STSB",
            "--data",
            glue,
            "--out",
            out,
            "--json",
            *more,
            "--recipe",
            "none",
        )
        assert answer.code == 0, answer.err
        printed = json.loads(answer.out)
        assert (printed["task"], printed["metric"]["name"]) == ("stsb", "spearman")
        values.append(read_trace(out)["value"].to_numpy())
    assert not np.allclose(values[0], values[1])


@pytest.mark.nightly
def test_classification_with_and_without_labels(walras: Walras, models: Path, glue: Path, no_pictures: None) -> None:
    values = []
    for more in (("--labels",), ("--label-free",)):
        answer = walras(
            "run",
            "--model",
            models / "classifier",
            "--task",
            "sst2",
            "--data",
            glue,
            "--out",
            more[0],
            "--json",
            *more,
            "--recipe",
            "none",
        )
        assert answer.code == 0, answer.err
        metric = json.loads(answer.out)["metric"]
        assert metric["name"] == "accuracy"
        assert (metric["dense"] * 12).is_integer()
        values.append(read_trace(more[0])["value"].to_numpy())
    assert not np.allclose(values[0], values[1])


@pytest.mark.nightly
def test_classification_by_a_decoder_without_a_padding_token(
    walras: Walras, models: Path, glue: Path, tmp_path: Path, no_pictures: None
) -> None:
    config = GPT2Config.from_pretrained(models / "gpt2", num_labels=2)
    assert config.pad_token_id is None
    GPT2ForSequenceClassification(config).save_pretrained(tmp_path / "g")
    tokenizer = AutoTokenizer.from_pretrained(models / "gpt2")
    tokenizer.pad_token, tokenizer.eos_token = None, "[SEP]"
    tokenizer.save_pretrained(tmp_path / "g")
    answer = walras(
        "run", "--model", tmp_path / "g", "--task", "sst2", "--data", glue, "--out", "r", "--recipe", "none"
    )
    assert answer.code == 0, answer.err


@pytest.mark.nightly
def test_texts_of_every_kind(walras: Walras, models: Path, tmp_path: Path, no_pictures: None) -> None:
    """One passage of 30,000 words, emoji, tabs, no-break spaces, and what leaves no token at all."""
    odd = tmp_path / "odd.txt"
    passages = ["the cat sat " * 10_000, "🐈 on 🧵", "a\tdog\tran", "cat\u00a0sat", "\u200b\u200d", "x", "né à Ürümqi"]
    odd.write_text("\n".join(passages), encoding="utf-8")
    for name in ("bert", "gpt2"):
        answer = walras("run", "--model", models / name, "--task", "text", "--data", odd, "--out", name, "--json")
        assert answer.code == 0, answer.err
        assert math.isfinite(json.loads(answer.out)["metric"]["value"])
        assert np.isfinite(read_trace(name)["value"]).all()


@pytest.mark.nightly
def test_without_a_folder_of_ones_own_a_new_one_is_made(walras: Walras, models: Path, lines: Path) -> None:
    base = (
        "run",
        "--model",
        models / "bert",
        "--task",
        "text",
        "--data",
        lines,
        "--rounds",
        1,
        "--recipe",
        "random",
    )
    for _ in range(2):
        assert walras(*base).code == 0
    found = sorted(p.name for p in Path("runs").iterdir())
    assert found == [f"text-random-0.5-seed0{again}" for again in ("", "-1")]


@pytest.mark.nightly
def test_trace_tells_the_same_on_screen_and_as_json(quick: Walras, walras: Walras) -> None:
    printed, run = quick("--rounds", 3)
    told = json.loads(walras("trace", run, "--json", "--top", 3).out)
    assert [r["round"] for r in told["rounds"]] == [1, 2, 3]
    last = told["rounds"][-1]
    for name in ("used", "price", "welfare", "revenue"):
        assert last[name] == pytest.approx(printed[name]), name
    assert {"head": last["heads"], "ffn": last["ffn"]} == printed["kept"]
    assert len(told["winners"]) == sum(printed["kept"].values())
    assert len(told["winners"]) + len(told["leavers"]) == 12
    assert {unit["left"] for unit in told["leavers"]} <= {1, 2, 3}
    assert len(told["most_valued"]) == len(told["least_valued"]) == 3
    assert told["most_valued"][0]["value"] > told["least_valued"][0]["value"]

    screen = walras("trace", run, "--top", 3)
    assert (screen.code, screen.err) == (0, "")
    for title in ("Price by round", "Funded units by layer", "Who won", "Who left", "Most valued", "Least valued"):
        assert sum(title in line for line in screen.out.splitlines()) == 1
    assert told["most_valued"][0]["agent"] in screen.out
    assert f"{last['price']:.3g}" in screen.out
