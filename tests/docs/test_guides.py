"""What the guides show, run as it stands there."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doc_pages import DOCS, block, blocks, code_lines
from PIL import Image
from scipy.io import wavfile
from tiny_senses import write_speech, write_vision
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, ViTImageProcessorPil

import walras
from walras.experiments.outcome import Outcome
from walras.experiments.progress import Silent
from walras.experiments.queries.unfunded import UNFUNDED_RULES, Reject
from walras.experiments.replaying.comparison import compare_policies
from walras.experiments.replaying.opening import Opening
from walras.experiments.replaying.requests import read_requests
from walras.experiments.spec import RunSpec
from walras.market import ComputeMarket
from walras.mechanisms import MECHANISMS, traits
from walras.mechanisms.testing.conformance import check_mechanism
from walras.models.export.reloading import load_model
from walras.models.loading import DEFAULT_MODEL, find, load


def test_rule_is_short_and_conforms(tmp_path: Path) -> None:
    text = block("guides/own-mechanism.md", "class FirstCome")
    assert code_lines(text) <= 15
    file = tmp_path / "my_rule.py"
    file.write_text(text, encoding="utf-8")
    checks = check_mechanism(MECHANISMS.make(f"{file}:FirstCome"))
    assert len(checks) == 5
    assert all(c.passed for c in checks), checks


@pytest.mark.usefixtures("own_text")
@pytest.mark.parametrize("model", ["tiny", pytest.param(DEFAULT_MODEL, marks=pytest.mark.nightly)])
def test_python_agents_and_phases(model: str, tiny: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = block("guides/run.md", "model, tokenizer = AutoModel")
    assert code_lines(text) <= 10
    scope: dict[str, object] = {}
    exec(text.replace(DEFAULT_MODEL, tiny if model == "tiny" else find(model)), scope)
    assert "agreement with dense" in capsys.readouterr().out
    assert (Path("runs") / "mine" / "result.json").is_file()

    notebook = block("guides/own-agents.md", "walras.open_market(")
    agent = notebook[notebook.index("class Shading") : notebook.index("market =")]
    assert code_lines(agent) <= 15
    exec(notebook, scope)
    market = scope["market"]
    assert isinstance(market, ComputeMarket)
    assert market.round == 4
    books = market.ledger
    heads, present = books.kind == "head", books.report > 0  # who has left bids nothing
    assert (books.strategy[heads] == "Shading").all()
    assert (books.report[heads & present] < books.value[heads & present]).all()
    assert (books.report[~heads & present] == books.value[~heads & present]).all()
    assert (heads & present).any()
    assert (~heads & present).any()

    own = block("guides/own-phase.md", "class KeepBest")
    assert code_lines(own) <= 15
    capsys.readouterr()
    exec(own, scope)
    result = scope["result"]
    assert isinstance(result, Outcome)
    told = capsys.readouterr().out
    assert all(f"round {t}: " in told for t in range(1, result.market.round + 1))
    books = result.market.ledger
    assert all(books.quantity[books.layer == layer].any() for layer in set(books.layer.tolist()))
    assert (result.rounds["kept"] >= 0).all()


def test_parts_of_ones_own_run_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The schedule, valuation, resource and unit kind of `my_parts.py`, by the command beside them, on a tiny model."""
    page = "guides/own-parts.md"
    monkeypatch.chdir(tmp_path)
    Path("my_parts.py").write_text(block(page, "# my_parts.py"), encoding="utf-8")
    Path("my_recipe.yaml").write_text(block(page, "# my_recipe.yaml", "yaml"), encoding="utf-8")
    text = (DOCS / page).read_text(encoding="utf-8")
    (command,) = re.findall(r"^walras run --recipe my_recipe.yaml (.*)$", text, re.MULTILINE)
    given: dict[str, list[str]] = {}
    for flag, value in zip(command.split()[::2], command.split()[1::2], strict=True):
        given.setdefault(flag.removeprefix("--"), []).append(value)
    torch.manual_seed(0)
    sizes: Any = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    model: Any = BertModel(BertConfig(vocab_size=40, **sizes))
    model.eval()
    batches = [{"input_ids": torch.arange(32).reshape(4, 8), "attention_mask": torch.ones(4, 8, dtype=torch.long)}]
    result = walras.run(model, None, batches, recipe="my_recipe.yaml", block=16, out="r", **given)  # type: ignore[arg-type]
    assert result.summary.resource == "energy"
    assert result.summary.used <= 0.6
    assert [round(share, 6) for share in result.rounds["budget"]] == [1, 1, 0.6]
    assert set(result.trace["kind"]) == {"pair", "ffn"}
    first = result.trace[result.trace["round"] == 1]
    assert (first["value"] == first["layer"] + 1).all()


@pytest.mark.usefixtures("own_text")
def test_a_task_in_20_lines(tiny: str) -> None:
    """Questions that are their own answers are all found by the dense model; the file's halves stay apart."""
    text = block("guides/own-task.md", "class Search")
    assert code_lines(text) <= 22
    lines = Path("my.txt").read_text(encoding="utf-8").splitlines()
    Path("faq.tsv").write_text("\n".join(f"{line}\t{line}" for line in lines), encoding="utf-8")
    scope: dict[str, Any] = {}
    exec(text, scope)
    task = scope["Search"]("faq.tsv")
    pool = {e.first for e in task.pool()}
    assert not pool & {question for question, _ in task.measured}
    model, tokenizer = AutoModel.from_pretrained(tiny), AutoTokenizer.from_pretrained(tiny)
    result = walras.run(model, tokenizer, task, recipe="none", budget=0.5, rounds=1)
    assert result.metric.name == "found first"
    assert result.metric.dense == 1
    assert 0 <= result.metric.value <= 1


def test_the_file_of_settings_is_one(tmp_path: Path) -> None:
    file = tmp_path / "half.yaml"
    file.write_text(block("guides/config-files.md", "# half.yaml", "yaml"), encoding="utf-8")
    spec = RunSpec.read(file, {"seed": 1}, ())
    assert (spec.seed, spec.market.rounds, dict(spec.market.budget)) == (1, 4, {"macs": 0.5})
    assert "0.002" in str(spec.market.mechanism)


def test_grants_of_the_guide(capsys: pytest.CaptureFixture[str]) -> None:
    scope: dict[str, Any] = {}
    exec(block("guides/allocate.md", "Queries(np.array"), scope)
    assert scope["found"].tokens.sum() <= 700
    assert np.isfinite(scope["found"].price)
    assert capsys.readouterr().out


def test_the_trace_of_the_guide(tmp_path: Path) -> None:
    """Five requests, by the first command beside them: one answer is wrong, and the others fit."""
    file = tmp_path / "trace.jsonl"
    file.write_text(block("guides/replay.md", '"arrival"', "text"), encoding="utf-8")
    requests, opening = read_requests(file), Opening(500.0, 10.0)
    policies = ("clear", "uniform", "fixed-cap:tokens=200")
    found = compare_policies(policies, requests, opening, Reject(), 50.0, Silent())
    assert [run.figures["most_right"] for run in found.runs] == [4] * 3
    assert found.runs[2].figures["right"] == 2


def test_rules_and_policies_of_the_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Played on the trace of another guide: who comes when the window is spent waits, and gets what it needs."""
    monkeypatch.chdir(tmp_path)
    Path("my_serving.py").write_text(block("guides/gateway.md", "# my_serving.py"), encoding="utf-8")
    Path("trace.jsonl").write_text(block("guides/replay.md", '"arrival"', "text"), encoding="utf-8")
    text = (DOCS / "guides/gateway.md").read_text(encoding="utf-8")
    ((rule, policy),) = re.findall(r"--unfunded (my_serving\.py:\w+) --policy (my_serving\.py:\w+)", text)
    requests, opening = read_requests(Path("trace.jsonl")), Opening(500.0, 10.0)
    found = compare_policies((policy,), requests, opening, UNFUNDED_RULES.make(rule), 50.0, Silent())
    assert found.runs[0].figures["right"] == 4
    assert found.runs[0].figures["never"] == 0


def test_the_page_of_the_one_idea() -> None:
    for code in blocks("theory/one-idea.md"):
        exec(code, {})


def test_markets_from_keywords(monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks that need no network, from top to bottom; the batch runs in this process."""
    page = "guides/market-model.md"
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec(block(page, "walras.MarketModel(values="), scope)
    assert scope["market"].ledger.quantity.tolist() == [1, 1, 0, 0]
    exec(block(page, "class Careful"), scope)
    learned = scope["market"].agents_by_type[scope["Careful"]].get("factor")
    assert min(learned) == 0.5
    exec(block(page, "agent_reporters="), scope)
    assert "richest" in scope["market"].datacollector.get_model_vars_dataframe()
    batch = block(page, "batch_run(")
    for long, short in (
        ("number_processes=2", "number_processes=1"),
        ("range(5)", "range(2)"),
        ('"units": 24', '"units": 6'),
    ):
        assert long in batch
        batch = batch.replace(long, short)
    exec(batch, scope)
    assert len(scope["rows"]) == 3 * 2 * 2


@pytest.mark.nightly
def test_designs_in_python(tiny: str, own_text: None) -> None:
    """The calls of the guide, with fewer points and on a tiny model."""
    small = f'model={tiny!r}, task="text", data="my.txt", recipe="none", block=32, sentences=8, '
    scope: dict[str, Any] = {}
    code = block("guides/designs.md", "walras.compare(") + block("guides/designs.md", "walras.calibrate(")
    for long, short in (
        ("n=32", "n=2"), ("n=64", "n=2"), ("design=", f"{small}design="), ("seeds=3", f"{small}runs=3, seeds=1"),
        ('"rounds": (1, 6)', '"rounds": (1, 2)'),
    ):  # fmt: skip
        assert long in code
        code = code.replace(long, short)
    exec(code, scope)
    assert len(scope["table"]) == 2


def test_rows_of_a_csv_file(tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of the guide with more rows, and the command beside it."""
    monkeypatch.chdir(tmp_path)
    page = "guides/csv-task.md"
    head, *rows = block(page, "question,answer,score", "text").splitlines()
    scores = [f"{row.rpartition(',')[0]},{score / 8}" for score in range(40) for row in rows]
    Path("pairs.csv").write_text("\n".join([head, *scores]), encoding="utf-8")
    (command,) = re.findall(
        r"^walras run --task csv --data pairs.csv (.*)$", block(page, "pairs.csv", "bash"), re.MULTILINE
    )
    assert command == "--text question,answer --label score"
    task = {"name": "csv", "text": ["question", "answer"], "label": "score"}
    result = walras.run(tiny, data="pairs.csv", task=task, recipe="none", budget=0.5, rounds=1, sentences=8)
    assert result.metric.name == "spearman"


def test_pictures_and_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The blocks of the guide on tiny networks: pictures from Python, and the words of a smaller network of speech."""
    monkeypatch.chdir(tmp_path)
    page = "guides/pictures-and-sound.md"
    vision, speech = write_vision(tmp_path / "vision"), write_speech(tmp_path / "speech")
    ViTImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(vision)
    Path("photos").mkdir()
    for i in range(6):
        noise = np.random.default_rng(i).integers(0, 255, (20, 20 + i, 3), dtype=np.uint8)
        Image.fromarray(noise).save(f"photos/{i}.png")
    scope: dict[str, Any] = {}
    exec(block(page, "walras.run(model, processor").replace("facebook/dinov2-small", str(vision)), scope)
    assert "cosine with dense" in capsys.readouterr().out
    assert load_model("smaller").config.model_type == "dinov2"
    sounds = [0.3 * np.sin(np.arange(8000 + 800 * i) * (0.1 + 0.02 * i)).astype(np.float32) for i in range(6)]
    model, processor = load(str(speech), "speech", device="cpu")
    walras.run(model, processor, sounds, budget=0.6, recipe="none").export("smaller-whisper")
    wavfile.write("hello.wav", 16_000, (sounds[0] * 32767).astype(np.int16))
    exec(block(page, "wavfile.read("), scope)
    assert capsys.readouterr().out.endswith("\n")


def test_the_guide_has_every_word_of_rules_and_bids() -> None:
    text = (DOCS / "guides/own-mechanism.md").read_text(encoding="utf-8")
    words = [
        name
        for name, value in vars(traits).items()
        if isinstance(value, str) and value in traits.TRAITS | traits.PROPERTIES
    ]
    assert len(words) == len(traits.TRAITS | traits.PROPERTIES)
    assert [word for word in words if f"| `{word}` |" not in text] == []


def test_the_guide_to_experts(capsys: pytest.CaptureFixture[str]) -> None:
    exec(block("guides/experts.md", "from walras.models.routing import Load, routing_market"), {})
    assert "tensor(" in capsys.readouterr().out
