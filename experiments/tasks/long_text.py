"""A long text as a task: how well does a decoder predict its next token?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from walras.errors import InputError, UnknownNameError
from walras.experiments.tasks.base import Reference, Task
from walras.experiments.tasks.data.rows import Example
from walras.experiments.tasks.data.token_stream import Stream, stream
from walras.experiments.tasks.losses import NextTokens, OwnPredictions
from walras.experiments.tasks.perplexity import Likelihood, Window, likelihood, windows
from walras.models.loading import Head
from walras.models.objective import Batch, Objective


@final
@dataclass(frozen=True, eq=False)
class LongText(Task):
    """Perplexity on a split that is one stream of tokens; calibrated on the training text in blocks without padding.

    A block has no meaning without a tokenizer and a length: `prepared` cuts them. The label of a block is its number.
    """

    name: str
    split: str  # evaluated
    evaluated: str  # its text
    pool_split: str  # calibrated and trained on
    training: str  # its text
    stride: int | None = None  # None: the length of a window
    tokens: int | None = None  # None: all
    bos: str | None = None  # token before every window and block
    blocks: Sequence[Example] | None = None  # None: not prepared
    held_out: Sequence[Example] | None = None  # blocks to evaluate instead of the split
    most: int | None = None  # windows to evaluate of the split; None: all
    metric: str = "perplexity"
    head: ClassVar[Head] = "causal"
    higher_is_better: ClassVar[bool] = False

    def check(self, length: int) -> None:
        """A stride beyond the window would leave tokens out."""
        if self.stride is not None and self.stride > length:
            raise InputError(f"stride is {self.stride}; it must be at most the length of a window, {length}")

    def prepared(self, tokenizer: Any, length: int) -> "LongText":
        """Blocks of `length` tokens side by side, a token for the beginning included; the rest of the text is left."""
        if self.blocks is not None:
            return self
        cut, size = stream(tokenizer, self.training), self._own_tokens(length)
        count = len(cut.ids) // size
        if count < 2:
            raise InputError(
                f"the {self.pool_split} split has {len(cut.ids)} tokens, which make {count} block(s) of {size}; "
                "at least two are needed: a longer text, or a smaller length"
            )
        blocks = [Example(cut.span(i * size, (i + 1) * size), label=i) for i in range(count)]
        return replace(self, blocks=blocks)

    def pool(self) -> Sequence[Example]:
        """The blocks of the training text."""
        if self.blocks is None:
            raise InputError(f"task {self.name} has no blocks before it is `prepared` for a tokenizer")
        return self.blocks

    def parts(self, train: Sequence[Example], held_out: Sequence[Example]) -> "LongText":
        """As the interface says; blocks that are held out are windows of their own."""
        return replace(self, blocks=train, held_out=held_out)

    def first(self, rows: int) -> "LongText":
        """As the interface says; a row is a window."""
        return replace(self, most=rows, held_out=None if self.held_out is None else self.held_out[:rows])

    def objective(self, model: nn.Module, label_free: bool) -> Objective:
        """The text's next tokens, or draws from the model's own predictions."""
        del model
        return OwnPredictions(by_position=True) if label_free else NextTokens()

    def batch(self, tokenizer: Any, examples: Sequence[Example], length: int) -> Batch:
        """One row a block [blocks, length], none of it padding."""
        ids, size = stream(tokenizer, self.training).ids, self._own_tokens(length)
        rows = torch.stack([ids[int(e.label or 0) * size :][:size] for e in examples])
        lead = self._lead(tokenizer)
        if lead is not None:
            rows = torch.cat([torch.full((len(rows), 1), lead), rows], dim=1)
        return {"input_ids": rows, "attention_mask": torch.ones_like(rows)}

    def evaluate(
        self, model: nn.Module, tokenizer: Any, reference: Reference, *, batch_size: int, length: int
    ) -> float:
        """exp(mean negative log-likelihood) of the scored tokens."""
        del reference
        return self._likelihood(model, tokenizer, batch_size, length).perplexity

    def scores(
        self, model: nn.Module, tokenizer: Any, reference: Reference, *, batch_size: int, length: int
    ) -> dict[str, float]:
        """Perplexity, and what can be compared between tokenizers; see `Likelihood`."""
        del reference
        return self._likelihood(model, tokenizer, batch_size, length).scores()

    def protocol(self, tokenizer: Any, length: int) -> dict[str, Any]:
        """Everything on which a perplexity depends; `tokens` are those that are scored."""
        if self.held_out is not None:
            split, stride, tokens = f"{self.pool_split}, held out", length, len(self.held_out) * (length - 1)
        else:
            tokens = len(self._evaluated(tokenizer, length)[0]) - (self.bos is None)
            split, stride = self.split, self.stride or length
        return {
            "split": split, "window": length, "stride": stride,
            "tokens": tokens, "before each window": self.bos or "nothing",
            "tokenizer": f"{type(tokenizer).__name__} of {len(tokenizer)} tokens", "calibrated on": self.pool_split,
        }  # fmt: skip

    def _likelihood(self, model: nn.Module, tokenizer: Any, batch_size: int, length: int) -> Likelihood:
        self.check(length)
        if self.held_out is not None:
            rows = [Window(row[:-1], row[1:]) for row in self.batch(tokenizer, self.held_out, length)["input_ids"]]
            return likelihood(model, rows, "".join(e.first for e in self.held_out), batch_size)
        ids, text = self._evaluated(tokenizer, length)
        rows = list(windows(ids, length, self.stride or length, self._lead(tokenizer)))
        return likelihood(model, rows, text, batch_size)

    def _evaluated(self, tokenizer: Any, length: int) -> tuple[Tensor, str]:
        """The first tokens of the split, as many as are wanted and the first windows hold, and their text."""
        whole: Stream = stream(tokenizer, self.evaluated)
        count = min(self.tokens or len(whole.ids), len(whole.ids))
        if self.most is not None:  # and the token that the first window begins with, where none is put before it
            count = min(count, (self.most - 1) * (self.stride or length) + length + (self.bos is None))
        if count < 2:
            raise InputError(f"the {self.split} split has {count} token(s); at least two are needed")
        return whole.ids[:count], whole.span(0, count)

    def _own_tokens(self, length: int) -> int:
        """Tokens of the text in a block."""
        return length if self.bos is None else length - 1

    def _lead(self, tokenizer: Any) -> int | None:
        """Number of the token that stands before every window."""
        if self.bos is None:
            return None
        vocabulary = tokenizer.get_vocab()
        if self.bos not in vocabulary:
            raise UnknownNameError("token for the beginning of a text, bos,", self.bos, tokenizer.all_special_tokens)
        return int(vocabulary[self.bos])
