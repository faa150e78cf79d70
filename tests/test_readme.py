"""What the README shows, run as it stands there."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizer

import walras
from walras.experiments.outcome import Outcome
from walras.experiments.tasks.pairs.pairs_file import read_pairs
from walras.market import ComputeMarket
from walras.mechanisms import MECHANISMS
from walras.mechanisms.testing.conformance import check_mechanism
from walras.models.loading import DEFAULT_MODEL, find

README = Path(__file__).parents[1] / "README.md"
BLOCKS: list[str] = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def block(marker: str) -> str:
    found = [b for b in BLOCKS if marker in b]
    assert len(found) == 1, marker
    return found[0]


def code_lines(text: str) -> int:
    return sum(1 for line in text.splitlines() if line.strip() and not line.strip().startswith("#"))


def test_rule_is_short_and_conforms(tmp_path: Path) -> None:
    text = block("class FirstCome")
    assert code_lines(text) <= 15
    file = tmp_path / "my_rule.py"
    file.write_text(text, encoding="utf-8")
    checks = check_mechanism(MECHANISMS.make(f"{file}:FirstCome"))
    assert len(checks) == 5
    assert all(c.passed for c in checks), checks


@pytest.fixture
def own_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.txt").write_text("\n".join(e.first for e in read_pairs("train")[:24]), encoding="utf-8")


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    """A folder with a small encoder of random weights."""
    folder = tmp_path / "tiny"
    torch.manual_seed(0)
    letters = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz", ".", ",")
    words = tuple(f"##{letter}" for letter in letters[5:])
    config = BertConfig(
        vocab_size=len(letters + words), hidden_size=48, num_hidden_layers=3, num_attention_heads=4,
        intermediate_size=192, max_position_embeddings=128,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    BertTokenizer(vocab={word: i for i, word in enumerate(letters + words)}).save_pretrained(folder)
    return str(folder)


@pytest.mark.usefixtures("own_text")
@pytest.mark.parametrize("model", ["tiny", pytest.param(DEFAULT_MODEL, marks=pytest.mark.nightly)])
def test_python_and_notebook(model: str, tiny: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = block("model, tokenizer = AutoModel")
    assert code_lines(text) <= 10
    scope: dict[str, object] = {}
    exec(text.replace(DEFAULT_MODEL, tiny if model == "tiny" else find(model)), scope)
    assert "agreement with dense" in capsys.readouterr().out
    assert (Path("runs") / "mine" / "result.json").is_file()

    notebook = block("walras.open_market(")
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

    own = block("class KeepBest")
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
    monkeypatch.chdir(tmp_path)
    Path("my_parts.py").write_text(block("# my_parts.py"), encoding="utf-8")
    (recipe,) = re.findall(r"```yaml\n(# my_recipe.yaml\n.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    Path("my_recipe.yaml").write_text(recipe, encoding="utf-8")
    (command,) = re.findall(r"^walras run --recipe my_recipe.yaml (.*)$", README.read_text(encoding="utf-8"), re.M)
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


def test_no_placeholder_is_left() -> None:
    assert re.findall(r"@[A-Z]+@", README.read_text(encoding="utf-8")) == []
