"""Perplexity of a decoder on a stream of tokens, by windows that overlap or stand side by side."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from walras.errors import InputError

IGNORED = -100  # a target that another window scores; PyTorch's own number for it
LOGITS = 2**26  # logits at once: a quarter of a GiB


@final
class Window(NamedTuple):
    """Tokens that the model sees [l], and the token after each [l], IGNORED where it is not scored here."""

    inputs: Tensor
    targets: Tensor


def windows(ids: Tensor, length: int, stride: int, lead: int | None = None) -> Iterator[Window]:
    """Windows over tokens [T], each `stride` further on and of `length` tokens; the last one is shorter.

    Every token but the very first is scored exactly once, by the first window that predicts it: in the windows after
    the first one these are its last `stride` tokens, which have `length - stride` tokens before them or more. A
    `lead`, such as a token for the beginning of a text, stands first in every window, in the place of the token that
    precedes the window's own; the very first token is then scored as well.
    """
    before, targets = (ids[:-1], ids[1:]) if lead is None else (ids.roll(1), ids)
    scored = 0
    for start in range(0, len(targets), stride):
        stop = min(start + length, len(targets))
        inputs, wanted = before[start:stop].clone(), targets[start:stop].clone()
        if lead is not None:
            inputs[0] = lead
        wanted[: scored - start] = IGNORED
        yield Window(inputs, wanted)
        scored = stop
        if stop == len(targets):
            return


@final
@dataclass(frozen=True)
class Likelihood:
    """Negative log-likelihood [nats] of so many tokens of a text."""

    nats: float
    tokens: int
    text: str

    @property
    def perplexity(self) -> float:
        """exp(nats a token); infinite where that is no number any more."""
        return _exp(self.nats / self.tokens)

    def scores(self) -> dict[str, float]:
        """Perplexity, and what can be compared between tokenizers.

        Words are those between white space, and every line's end is one more (<eos>), as in the published figures of
        word models. A first token that nothing precedes is not scored, but its bytes and words are counted.
        """
        words = len(self.text.split()) + self.text.count("\n")
        return {
            "perplexity": self.perplexity,
            "nats a token": self.nats / self.tokens,
            "bits per byte": self.nats / math.log(2) / len(self.text.encode("utf-8")),
            "word perplexity": _exp(self.nats / words) if words else math.inf,
            "tokens": float(self.tokens),
            "words": float(words),
        }


def _exp(x: float) -> float:
    return float(torch.tensor(x, dtype=torch.float64).exp())


@torch.no_grad()
def likelihood(model: nn.Module, rows: Sequence[Window], text: str, batch_size: int) -> Likelihood:
    """Of the targets of windows, on a decoder. Shorter windows are padded on the right, where no token looks.

    Raises:
        InputError: logits that are not finite.
    """
    device = next(model.parameters()).device
    config: Any = model.config
    size = max(1, min(batch_size, LOGITS // (max(len(row.inputs) for row in rows) * int(config.vocab_size))))
    nats, tokens = 0.0, 0
    for start in range(0, len(rows), size):
        some = rows[start : start + size]
        inputs = pad_sequence([row.inputs for row in some], batch_first=True).to(device)
        mask = pad_sequence([torch.ones_like(row.inputs) for row in some], batch_first=True).to(device)
        targets = pad_sequence([row.targets for row in some], batch_first=True, padding_value=IGNORED).to(device)
        chosen = targets != IGNORED
        logits = model(input_ids=inputs, attention_mask=mask).logits[chosen].float()
        losses = nn.functional.cross_entropy(logits, targets[chosen], reduction="none")
        nats, tokens = nats + float(losses.double().sum()), tokens + len(losses)
    if not math.isfinite(nats):
        raise InputError("the model's logits are not finite numbers")
    return Likelihood(nats, tokens, text)
