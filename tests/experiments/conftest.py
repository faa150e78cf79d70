"""Tiny models saved to folders, and the command line as a function, so that a whole run takes about a second."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    BertTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5EncoderModel,
)
from transformers.utils import logging

from walras.experiments.cli.main import main

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = (
    "the", "a", "cat", "dog", "sat", "ran", "on", "mat", "in", "house", "man", "woman", "played", "guitar", "ate",
    "an", "apple", "not", "is", "was", ".", ",", "!",
)  # fmt: skip
LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")
VOCABULARY = tuple(dict.fromkeys((*SPECIAL, *WORDS, *LETTERS, *(f"##{c}" for c in LETTERS))))
SIZES = {
    "vocab_size": len(VOCABULARY), "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 64, "max_position_embeddings": 128,
}  # fmt: skip
LINES = (
    "The cat sat on the mat.", "A dog ran in the house!", "The man played the guitar.", "A woman ate an apple.",
    "The dog is not in the house.", "A cat was on a mat, not on the man.", "The woman ran.", "An apple is on the mat.",
    "The guitar was in the house.", "A man ate.", "The cat ran, the dog sat.", "A woman played in a house.",
)  # fmt: skip
HEADS, BLOCKS = 8, 4  # units of the tiny encoder at the default block of 32 neurons


@dataclass(frozen=True)
class Answer:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The message of an error: exit code 2, one line that ends standard error, nothing on standard output.

        Lines of progress may come before it.
        """
        assert self.code == 2, (self.code, self.out, self.err)
        assert self.out == ""
        *before, last = self.err.splitlines()
        assert not any(line.startswith(("Error", "Traceback")) for line in before), self.err
        assert last.startswith("Error: "), self.err
        return last.removeprefix("Error: ")


Command = Callable[..., Answer]


def call(*arguments: object) -> Answer:
    """`walras ARGUMENTS...` in this process."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        patch.object(sys, "argv", ["walras", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    return Answer(code, out.getvalue(), err.getvalue())


def save(kind: Any, config: Any, folder: Path) -> Path:
    """A model with random weights, large enough to tell sentences apart, and its tokenizer."""
    torch.manual_seed(0)
    model = kind(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.copy_(torch.randn(weight.shape) * weight.shape[-1] ** -0.5)
    model.save_pretrained(folder)
    tokenizer = BertTokenizer(vocab={word: i for i, word in enumerate(VOCABULARY)})
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost more than they save on models this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # it has no types
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test asks the hub for anything."""
    monkeypatch.setattr("walras.models.loading._hub_answers", lambda: False)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with bert, gpt2, llama, classifier (of two classes) and t5, a family that is not in the table."""
    folder = tmp_path_factory.mktemp("models")
    save(BertModel, BertConfig.from_dict(SIZES), folder / "bert")
    save(BertForSequenceClassification, BertConfig.from_dict({**SIZES, "num_labels": 2}), folder / "classifier")
    gpt2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_inner": 64, "n_positions": 128, "vocab_size": len(VOCABULARY)}
    save(GPT2LMHeadModel, GPT2Config.from_dict({**gpt2, "bos_token_id": 2, "eos_token_id": 3}), folder / "gpt2")
    llama = {**SIZES, "num_key_value_heads": 2, "bos_token_id": 2, "eos_token_id": 3}
    save(LlamaForCausalLM, LlamaConfig.from_dict(llama), folder / "llama")
    t5 = T5Config(vocab_size=len(VOCABULARY), d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    save(T5EncoderModel, t5, folder / "t5")
    return folder


@pytest.fixture(scope="session")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text file of a dozen lines."""
    path = tmp_path_factory.mktemp("text") / "lines.txt"
    path.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def glue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GLUE in small: STS-B in the official layout, SST-2 as JSON lines."""
    folder = tmp_path_factory.mktemp("glue")
    (folder / "STS-B").mkdir()
    (folder / "SST-2").mkdir()
    for split, shift in (("train", 1), ("dev", 2)):
        pairs = [(a, LINES[(i + shift) % len(LINES)], i % 6) for i, a in enumerate(LINES)]
        rows = ["sentence1\tsentence2\tscore", *(f"{a}\t{b}\t{score}.0" for a, b, score in pairs)]
        (folder / "STS-B" / f"{split}.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    for split in ("train", "validation"):
        objects = [f'{{"sentence": "{a}", "label": {i % 2}}}' for i, a in enumerate(LINES)]
        (folder / "SST-2" / f"{split}.jsonl").write_text("\n".join(objects) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def walras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`walras ARGUMENTS...` in an empty folder."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    return call


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than a tiny model's whole run; for tests that do not look at the pictures."""
    monkeypatch.setattr("walras.experiments.reports.plots.png", lambda figure: b"picture")
    monkeypatch.setattr(
        "walras.experiments.reports.plots.svg",
        lambda figure, name, alt: '<svg role="img" aria-label="x" viewBox="0 0 1 1"></svg>',
    )


@pytest.fixture(scope="session")
def patience() -> float:
    """Seconds until a process of its own must have acted; a busy machine took over 120 to import torch twice."""
    return 600.0


@pytest.fixture
def spawn(tmp_path: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """`walras ARGUMENTS...` in a process of its own; keywords are environment variables."""

    def start(*arguments: object, **more: str) -> "subprocess.Popen[str]":
        # A shell starts what runs behind it deaf to Ctrl-C, and children inherit that.
        code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        code += "from walras.experiments.cli.main import main; main()"
        line = [sys.executable, "-c", code, *map(str, arguments)]
        surroundings = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **more}
        pipe = subprocess.PIPE
        return subprocess.Popen(line, cwd=tmp_path, env=surroundings, text=True, stdout=pipe, stderr=pipe)

    return start
