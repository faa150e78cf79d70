"""Training rows in batches, in an order that the seed fixes."""

from collections.abc import Iterator, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from walras.experiments.tasks import Task
from walras.experiments.tasks.data.rows import Example
from walras.models.objective import Batch

_CHUNK = 50  # batches among which rows are sorted by tokens: little is padded then, 3 to 5 % of GLUE rows encoded whole


@final
class Batches(Sampler[list[int]]):
    """Numbers of the rows of every batch of an epoch. A last, smaller batch of an epoch is left out.

    Iterating goes through the epoch that was set; `at` gives the batch of any step, without those before it.
    """

    drop_last = True

    def __init__(self, task: Task, tokenizer: Any, batch_size: int, length: int, seed: int) -> None:
        self._task, self._tokenizer, self._length, self._seed = task, tokenizer, length, seed
        self.rows: Sequence[Example] = task.pool()
        self.batch_size = min(batch_size, len(self.rows))
        self._widths = np.array([self._width(row) for row in self.rows])
        self._epoch = 0
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.zeros(0, dtype=np.int64))

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self.rows) // self.batch_size

    def __iter__(self) -> Iterator[list[int]]:
        """Those of the epoch that was set."""
        first = self._epoch * len(self)
        return (self.numbers(step) for step in range(first, first + len(self)))

    def set_epoch(self, epoch: int) -> None:
        """Iterate over this epoch, counted from 0, from now on."""
        self._epoch = epoch

    def numbers(self, step: int) -> list[int]:
        """Numbers of the rows of a step, counted from 0 over all epochs."""
        epoch, place = divmod(step, len(self))
        if self._order[0] != epoch:
            self._order = epoch, self._shuffled(epoch)
        found: list[int] = self._order[1][place * self.batch_size : (place + 1) * self.batch_size].tolist()
        return found

    def at(self, step: int) -> Batch:
        """The batch of a step."""
        return self.made([self.rows[i] for i in self.numbers(step)])

    def made(self, rows: Sequence[Example]) -> Batch:
        """A batch of these rows, as the task makes it."""
        return self._task.batch(self._tokenizer, rows, self._length)

    def _width(self, row: Example) -> int:
        """Tokens of a row as the task makes a batch of it: both sentences of a pair together, or the longer one."""
        return max((tensor.shape[-1] for tensor in self.made([row]).values() if tensor.ndim > 1), default=0)

    def _shuffled(self, epoch: int) -> NDArray[np.int64]:
        """Rows of an epoch: at random into chunks, sorted there by tokens; the batches at random again."""
        random = np.random.default_rng([self._seed, epoch])
        order = random.permutation(len(self.rows))[: len(self) * self.batch_size]
        batches: list[NDArray[np.int64]] = []
        for start in range(0, len(order), self.batch_size * _CHUNK):
            chunk = order[start : start + self.batch_size * _CHUNK]
            chunk = chunk[np.argsort(self._widths[chunk], kind="stable")]
            batches += np.split(chunk, len(chunk) // self.batch_size)
        return np.concatenate([batches[i] for i in random.permutation(len(batches))])
