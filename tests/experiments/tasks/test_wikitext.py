"""WikiText as a task: blocks without padding, perplexity of the split, whole runs, and bad input."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BertConfig, BertForMaskedLM

from walras.errors import InputError
from walras.experiments.tasks import TASKS
from walras.experiments.tasks.long_text import LongText
from walras.experiments.tasks.losses import NextTokens, OwnPredictions
from walras.experiments.tasks.perplexity import likelihood, windows
from walras.experiments.tasks.wikitext import wikitext

Walras = Callable[..., Any]
LINE = " the cat sat on the mat , and a dog ran in the house . \n"
TEXTS = {split: " \n = a house = \n \n" + LINE * n for split, n in (("train", 40), ("valid", 7), ("test", 9))}
LENGTH = 16


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """WikiText-2 in small."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "wikitext-2").mkdir()
    for split, text in TEXTS.items():
        (folder / "wikitext-2" / f"wiki.{split}.tokens").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def decoder(models: Path) -> Any:
    model: Any = AutoModelForCausalLM.from_pretrained(models / "gpt2")
    return model.eval()


@pytest.fixture(scope="module")
def tokenizer(models: Path) -> Any:
    return AutoTokenizer.from_pretrained(models / "gpt2")


def task(data: Path, settings: str = "") -> LongText:
    found = TASKS.make(f"wikitext2:{settings}" if settings else "wikitext2", data=str(data))
    assert isinstance(found, LongText)
    return found


def test_blocks_are_the_training_text_without_padding(data: Path, tokenizer: Any) -> None:
    whole = tokenizer(TEXTS["train"], add_special_tokens=False).input_ids
    for bos, size in ((None, LENGTH), ("[CLS]", LENGTH - 1)):
        ready = task(data, f"bos={bos}" if bos else "").prepared(tokenizer, LENGTH)
        blocks = ready.pool()
        assert len(blocks) == len(whole) // size
        batch = ready.batch(tokenizer, blocks, LENGTH)
        assert batch["input_ids"].shape == (len(blocks), LENGTH)
        assert batch["attention_mask"].all()
        own = batch["input_ids"][:, LENGTH - size :]
        assert own.flatten().tolist() == whole[: own.numel()]
        assert bos is None or (batch["input_ids"][:, 0] == tokenizer.convert_tokens_to_ids(bos)).all()
        assert TEXTS["train"].startswith("".join(e.first for e in blocks))
        picked = ready.batch(tokenizer, [blocks[5], blocks[2]], LENGTH)["input_ids"]
        assert picked.tolist() == batch["input_ids"][[5, 2]].tolist()


def test_objectives(data: Path, tokenizer: Any, decoder: Any) -> None:
    own = task(data)
    assert own.objective(decoder, label_free=False) == NextTokens()
    assert own.objective(decoder, label_free=True) == OwnPredictions(by_position=True)
    ready = own.prepared(tokenizer, LENGTH)
    batch = ready.batch(tokenizer, ready.pool()[:3], LENGTH)
    held_out = ready.parts(ready.pool(), ready.pool()[:3]).evaluate(
        decoder, tokenizer, None, batch_size=2, length=LENGTH
    )
    loss = NextTokens()(decoder, batch, torch.Generator())
    assert float(loss.detach().exp()) == pytest.approx(held_out, rel=1e-5)


def test_calibration_draws_blocks_of_the_training_text(data: Path, tokenizer: Any) -> None:
    sizes: dict[str, int] = {"sentences": 10, "batch_size": 4, "length": LENGTH}
    ready = task(data).prepared(tokenizer, LENGTH)
    known = {tuple(row) for row in ready.batch(tokenizer, ready.pool(), LENGTH)["input_ids"].tolist()}
    batches = task(data).calibration(tokenizer, seed=1, **sizes)
    rows = torch.cat([batch["input_ids"] for batch in batches]).tolist()
    assert [len(batch["input_ids"]) for batch in batches] == [4, 4, 2]
    assert {tuple(row) for row in rows} <= known
    other = torch.cat([b["input_ids"] for b in task(data).calibration(tokenizer, seed=2, **sizes)]).tolist()
    assert rows != other


@pytest.mark.parametrize(("settings", "split"), [("", "test"), ("split=valid,stride=5,tokens=50,bos=[CLS]", "valid")])
def test_perplexity_of_the_split(data: Path, tokenizer: Any, decoder: Any, settings: str, split: str) -> None:
    ids = torch.tensor(tokenizer(TEXTS[split], add_special_tokens=False).input_ids)
    whole = tokenizer.decode(ids)
    stride, lead = LENGTH, None
    if settings:
        ids, stride, lead = ids[:50], 5, tokenizer.convert_tokens_to_ids("[CLS]")
    expected = likelihood(decoder, list(windows(ids, LENGTH, stride, lead)), whole, 2)
    own = task(data, settings)
    scores = own.scores(decoder, tokenizer, None, batch_size=3, length=LENGTH)
    assert next(iter(scores)) == own.metric == "perplexity"
    assert scores["perplexity"] == pytest.approx(expected.perplexity, rel=1e-6)
    assert own.evaluate(decoder, tokenizer, None, batch_size=3, length=LENGTH) == scores["perplexity"]
    assert not own.higher_is_better
    protocol = own.protocol(tokenizer, LENGTH)
    assert protocol["tokens"] == scores["tokens"] == len(ids) - (lead is None)
    assert (protocol["split"], protocol["window"], protocol["stride"]) == (split, LENGTH, stride)
    assert protocol["before each window"] == ("[CLS]" if settings else "nothing")
    if not settings:
        assert scores["words"] == len(TEXTS[split].split()) + TEXTS[split].count("\n")
        assert scores["bits per byte"] == pytest.approx(expected.nats / math.log(2) / len(TEXTS[split].encode()))


@pytest.mark.parametrize("settings", ["", "stride=5", "stride=5,bos=[CLS]", "tokens=30"])
def test_the_first_windows_of_the_split(data: Path, tokenizer: Any, decoder: Any, settings: str) -> None:
    """Those of the whole split, in the same order, and the text of what they score."""
    whole = task(data, settings)
    ids = torch.tensor(tokenizer(TEXTS["test"], add_special_tokens=False).input_ids)[: whole.tokens]
    lead = tokenizer.convert_tokens_to_ids("[CLS]") if whole.bos else None
    rows = list(windows(ids, LENGTH, whole.stride or LENGTH, lead))
    sizes = {"batch_size": 2, "length": LENGTH}
    for few in (1, 2, 3):
        expected = likelihood(decoder, rows[:few], "", 2)
        scores = whole.first(few).scores(decoder, tokenizer, None, **sizes)
        assert scores["perplexity"] == pytest.approx(expected.perplexity, rel=1e-6)
        assert scores["tokens"] == expected.tokens == whole.first(few).protocol(tokenizer, LENGTH)["tokens"]
        text = whole.first(few)._evaluated(tokenizer, LENGTH)[1]
        assert tokenizer(text, add_special_tokens=False).input_ids == ids[: expected.tokens + (lead is None)].tolist()
    many, everything = (own.scores(decoder, tokenizer, None, **sizes) for own in (whole.first(10**6), whole))
    assert many == everything
    assert whole.first(2).prepared(tokenizer, LENGTH).pool() == whole.prepared(tokenizer, LENGTH).pool()


@pytest.mark.parametrize("settings", ["", "stride=5,bos=[CLS]"])
def test_the_first_of_held_out_blocks(data: Path, tokenizer: Any, decoder: Any, settings: str) -> None:
    ready = task(data, settings).prepared(tokenizer, LENGTH)
    blocks, sizes = ready.pool(), {"batch_size": 2, "length": LENGTH}
    few = ready.parts(blocks[4:], blocks[:4]).first(2)
    scores = few.scores(decoder, tokenizer, None, **sizes)
    assert scores == ready.parts(blocks[4:], blocks[:2]).scores(decoder, tokenizer, None, **sizes)
    protocol = few.protocol(tokenizer, LENGTH)
    assert (protocol["split"], protocol["stride"]) == ("train, held out", LENGTH)
    assert protocol["tokens"] == scores["tokens"] == 2 * (LENGTH - 1)


@pytest.mark.nightly
def test_a_quick_look_at_a_decoder(walras: Walras, models: Path, data: Path, no_pictures: None) -> None:
    line = ("--model", models / "gpt2", "--task", "wikitext2", "--data", data, "--length", LENGTH, "--limit", 2)
    answer = walras("observe", *line, "--budgets", 3, "--constrain", "all", "--controls", "none", "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert (found["sequences"], found["protocol"]["tokens"]) == (2, 2 * LENGTH)


def test_held_out_blocks_are_windows_of_their_own(data: Path, tokenizer: Any, decoder: Any) -> None:
    ready = task(data).prepared(tokenizer, LENGTH)
    blocks = ready.pool()
    learning = ready.parts(blocks[4:], blocks[:4])
    assert [*learning.prepared(tokenizer, LENGTH).pool()] == [*blocks[4:]]
    rows = ready.batch(tokenizer, blocks[:4], LENGTH)["input_ids"]
    with torch.no_grad():
        chances = decoder(input_ids=rows).logits[:, :-1].log_softmax(-1)
    expected = chances.gather(-1, rows[:, 1:, None]).double().mean().neg().exp()
    found = learning.scores(decoder, tokenizer, None, batch_size=3, length=LENGTH)
    assert found["perplexity"] == pytest.approx(float(expected), rel=1e-6)
    assert found["tokens"] == 4 * (LENGTH - 1)
    assert found["words"] == sum(len(e.first.split()) + e.first.count("\n") for e in blocks[:4])


def test_where_there_is_no_training_text_the_validation_split_takes_its_place(
    data: Path, tmp_path: Path, tokenizer: Any
) -> None:
    for split in ("valid", "test"):
        (tmp_path / f"{split}.txt").write_text(TEXTS[split])
    own = task(tmp_path)
    assert (own.training, own.protocol(tokenizer, LENGTH)["calibrated on"]) == (TEXTS["valid"], "valid")
    assert task(data).training == TEXTS["train"]
    with pytest.raises(InputError, match="holds no training text; the valid split takes its place, so evaluate on"):
        task(tmp_path, "split=valid")


@pytest.mark.nightly
def test_whole_run(walras: Walras, models: Path, data: Path, no_pictures: None) -> None:
    name = "wikitext2:stride=8,tokens=64"
    line = ("--model", models / "gpt2", "--data", data, "--length", LENGTH, "--rounds", 1, "--sentences", 20)
    answer = walras("run", *line, "--task", name, "--out", "r", "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert found["task"] == name
    assert (found["metric"]["name"], found["metric"]["higher_is_better"]) == ("perplexity", False)
    assert 1 < found["metric"]["dense"] != found["metric"]["value"] > 1
    assert (found["protocol"]["stride"], found["protocol"]["tokens"]) == (8, 63)
    assert "perplexity (lower is better)" in Path("r/report.html").read_text()
    free = walras("run", *line, "--task", "WikiText2", "--out", "free", "--label-free")
    assert free.code == 0, free.err
    for shown in ("perplexity (lower is better)", "split test", "window 16, stride 16", "calibrated on train"):
        assert shown in " ".join(free.out.split())


@pytest.mark.nightly
def test_comparison_tells_the_direction(walras: Walras, models: Path, data: Path) -> None:
    line = ("--model", models / "gpt2", "--task", "wikitext2", "--data", data, "--length", LENGTH, "--sentences", 20)
    more = ("--recipe", "walras", "--recipe", "random", "--seeds", 1, "--out", "c", "--workers", 0)
    answer = walras("compare", *line, *more)
    assert answer.code == 0, answer.err
    assert "perplexity (lower is better)" in answer.out
    assert "perplexity (lower is better)" in Path("c/report.html").read_text()
    again = json.loads(walras("compare", *line, *more, "--json").out)
    assert (again["metric"], again["higher_is_better"]) == ("perplexity", False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("stride=17", "stride is 17; it must be at most the length of a window, 16"),
        ("stride=0", "stride is 0; it must be a whole number of at least 1"),
        ("tokens=1", "tokens is 1; it must be a whole number of at least 2"),
        ("tokens=few", "tokens of task wikitext2 is 'few'; it must be of type int"),
        ("strid=8", r"unknown parameter of task wikitext2 'strid'\. Did you mean 'stride'\? Known: bos, .*stride"),
        ("split=train", "unknown split to evaluate on 'train'"),
        ("bos=<s>", r"unknown token for the beginning of a text, bos, '<s>'\. Known: .*\[CLS\]"),
    ],
)
def test_bad_settings(walras: Walras, models: Path, data: Path, settings: str, message: str) -> None:
    line = ("--model", models / "gpt2", "--task", f"wikitext2:{settings}", "--data", data, "--length", LENGTH)
    assert re.search(message, walras("run", *line, "--out", "r").error)
    assert list(Path().iterdir()) == []


def test_a_stride_is_checked_before_a_network_is_loaded(walras: Walras, data: Path) -> None:
    line = ("--model", "no/network", "--task", "wikitext2:stride=17", "--data", data, "--length", LENGTH)
    assert walras("run", *line).error.startswith("stride is 17")


def test_they_are_listed(walras: Walras) -> None:
    listed = json.loads(walras("list", "--json").out)["task"]
    assert listed["wikitext103-raw"]["about"] == "wikitext-103-raw, by perplexity."
    assert listed["mrpc"]["about"] == "MRPC of GLUE, by f1."
    assert listed["text"]["about"].startswith("Any text file")


def test_encoders_are_refused_by_name(walras: Walras, models: Path, data: Path, tmp_path: Path) -> None:
    masked = BertForMaskedLM(BertConfig.from_pretrained(models / "bert"))
    masked.save_pretrained(tmp_path / "masked")
    AutoTokenizer.from_pretrained(models / "bert").save_pretrained(tmp_path / "masked")
    for model in (models / "bert", tmp_path / "masked"):
        error = walras("run", "--model", model, "--task", "wikitext2", "--data", data, "--out", "r").error
        assert error == f"model {str(model)!r} is an encoder (bert); this task needs a decoder, such as GPT-2 or Llama"


def test_too_little_text(data: Path, tokenizer: Any) -> None:
    with pytest.raises(InputError, match=r"the train split has \d+ tokens, which make 1 block\(s\) of 400"):
        task(data).prepared(tokenizer, 400)
    with pytest.raises(InputError, match="wikitext2 has no blocks before it is `prepared`"):
        task(data).pool()
    with pytest.raises(InputError, match=r"nowhere is not a folder; expected a folder with wikitext-2/"):
        wikitext("wikitext2", "nowhere")
