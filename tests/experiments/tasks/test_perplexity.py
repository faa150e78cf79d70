"""Windows and perplexity: every token scored once, against a loop that asks for one token at a time."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

from walras.errors import InputError
from walras.experiments.tasks import perplexity
from walras.experiments.tasks.perplexity import IGNORED, Likelihood, likelihood, windows

VOCABULARY, LEAD = 23, 7


class Constant(nn.Module):
    """The same logits at every place."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)
        self.config = SimpleNamespace(vocab_size=len(logits))
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        self.shapes.append(tuple(input_ids.shape))
        return SimpleNamespace(logits=self.logits.expand(*input_ids.shape, -1))


@pytest.fixture(scope="module")
def decoder() -> Any:
    torch.manual_seed(0)
    sizes = GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=32, vocab_size=VOCABULARY, initializer_range=0.8)
    model: Any = GPT2LMHeadModel(sizes)
    return model.eval()


def tokens(count: int) -> Tensor:
    return torch.randint(VOCABULARY, (count,), generator=torch.Generator().manual_seed(count))


@torch.no_grad()
def one_by_one(model: nn.Module, ids: Tensor, length: int, stride: int, lead: int | None) -> tuple[float, int]:
    """Nats of all tokens and their number: one forward pass a token, over what its window shows before it."""
    nats, scored = 0.0, 0
    for t in range(1 if lead is None else 0, len(ids)):
        last = length if lead is None else length - 1  # the last token that the first window predicts
        window = max(0, math.ceil((t - last) / stride))
        context = ids[window * stride : t]
        if lead is not None:
            context = torch.cat([torch.tensor([lead]), context])
        logits = model(input_ids=context[None]).logits[0, -1]
        nats, scored = nats - float(logits.log_softmax(-1)[ids[t]]), scored + 1
    return nats, scored


@pytest.mark.spread
@pytest.mark.parametrize("lead", [None, LEAD])
@pytest.mark.parametrize(("count", "length", "stride"), [(50, 16, 16), (50, 16, 5), (33, 16, 1), (9, 16, 8), (2, 4, 4)])
def test_the_same_as_one_token_at_a_time(decoder: Any, count: int, length: int, stride: int, lead: int | None) -> None:
    ids = tokens(count)
    found = likelihood(decoder, list(windows(ids, length, stride, lead)), "text", batch_size=3)
    nats, scored = one_by_one(decoder, ids, length, stride, lead)
    assert found.tokens == scored == count - (lead is None)
    assert found.nats == pytest.approx(nats, rel=1e-5)
    assert found.perplexity == pytest.approx(math.exp(nats / scored), rel=1e-5)


def test_more_context_is_another_figure(decoder: Any) -> None:
    figures = {s: likelihood(decoder, list(windows(tokens(50), 16, s)), "", 4).nats for s in (4, 16)}
    assert figures[4] != pytest.approx(figures[16], rel=1e-3)


@given(st.integers(2, 60), st.integers(1, 20), st.integers(1, 20), st.booleans())
def test_every_token_is_scored_once_with_the_context_that_is_promised(
    count: int, length: int, stride: int, led: bool
) -> None:
    stride, lead = min(stride, length), -1 if led else None
    ids = torch.arange(count)
    scored: list[int] = []
    for number, (inputs, targets) in enumerate(windows(ids, length, stride, lead)):
        assert len(inputs) == len(targets) <= length
        own = targets != IGNORED
        scored += targets[own].tolist()
        assert ((inputs[own] == targets[own] - 1) | (inputs[own] == -1)).all()
        assert inputs[1:].tolist() == list(range(int(inputs[1]), int(inputs[-1]) + 1)) if len(inputs) > 1 else own.all()
        assert not led or inputs[0] == -1
        if number > 0:
            before = int(own.nonzero()[0]) + (lead is None)  # of the text's own tokens
            assert before >= length - stride
    assert scored == list(range(0 if led else 1, count))


@pytest.mark.parametrize("size", [5, 50_257])
def test_a_uniform_model_has_the_size_of_its_vocabulary(size: int) -> None:
    ids = torch.arange(40) % size
    found = likelihood(Constant(torch.zeros(size)), list(windows(ids, 8, 3)), "a text \n", 4)
    assert found.perplexity == pytest.approx(size, rel=1e-6)


def test_unlike_tokens_by_hand() -> None:
    """Three tokens of chance 1/2 and one of 1/4, in eight bytes and three words, one of them the line's end."""
    model = Constant(torch.log(torch.tensor([0.5, 0.25, 0.25])))
    found = likelihood(model, list(windows(torch.tensor([0, 1, 0, 0]), 8, 8, lead=2)), "éé bc\n", 4).scores()
    nats = 5 * math.log(2)
    assert found == pytest.approx(
        {
            "perplexity": 2**1.25, "nats a token": nats / 4, "bits per byte": 5 / 8, "word perplexity": 2 ** (5 / 3),
            "tokens": 4, "words": 3,
        },
        rel=1e-6,
    )  # fmt: skip


def test_few_logits_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = list(windows(torch.arange(41) % 5, 8, 8))
    for limit, expected in ((2**26, [(3, 8), (2, 8)]), (80, [(2, 8), (2, 8), (1, 8)]), (1, [(1, 8)] * 5)):
        monkeypatch.setattr(perplexity, "LOGITS", limit)
        model = Constant(torch.zeros(5))
        assert likelihood(model, rows, "", 3).tokens == 40
        assert model.shapes == expected


def test_what_is_no_number() -> None:
    with pytest.raises(InputError, match="logits are not finite"):
        likelihood(Constant(torch.tensor([math.nan, 0.0])), list(windows(torch.tensor([0, 1]), 4, 4)), "", 4)
    assert Likelihood(1e6, 2, "a").scores()["perplexity"] == math.inf
