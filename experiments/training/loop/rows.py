"""Training rows in batches, in an order that the seed fixes."""

from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from walras.errors import InputError
from walras.experiments.tasks import Task
from walras.experiments.tasks.data.rows import Example
from walras.models.objective import Batch

MOST_HELD_OUT = 1000
_CHUNK = 50  # batches among which rows are sorted by tokens: little is padded then, 3 to 5 % of GLUE rows encoded whole


def split(task: Task, share: float, limit: int | None, seed: int) -> Task:
    """The task on the rows that are trained on, evaluated on rows that are held out of them.

    Raises:
        InputError: fewer than two rows are left to train on.
    """
    rows = task.pool()
    order = np.random.default_rng(seed).permutation(len(rows))[:limit]
    held = held_out(share, len(order))
    judged, train = [rows[i] for i in order[:held]], [rows[i] for i in order[held:]]
    if len(train) < 2:
        raise InputError(f"{len(train)} training row(s) are left of {len(order)}; at least two are needed")
    return task.parts(train, judged or train)


def held_out(share: float, rows: int) -> int:
    """How many of the rows are held out; where there are none, those that are trained on are judged by."""
    return min(round(share * rows), MOST_HELD_OUT)


@final
class Batches:
    """Batches by step: any of them can be had without those before it. A last, smaller one of an epoch is left out.

    Of several processes, each gets its rows of every batch.
    """

    def __init__(
        self, task: Task, tokenizer: Any, batch_size: int, length: int, seed: int, process: int = 0, processes: int = 1
    ) -> None:
        self.task, self.tokenizer, self.length, self.seed = task, tokenizer, length, seed
        self.rows: Sequence[Example] = task.pool()
        self.size = min(batch_size, len(self.rows))
        if self.size % processes:
            raise InputError(f"batches of {self.size} rows do not divide among {processes} processes")
        self.mine = slice(process, None, processes)
        self.epoch = len(self.rows) // self.size  # steps
        self.widths = np.array([self._width(row) for row in self.rows])
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.zeros(0, dtype=np.int64))

    def at(self, step: int) -> Batch:
        """The batch of a step, counted from 0."""
        epoch, place = divmod(step, self.epoch)
        if self._order[0] != epoch:
            self._order = epoch, self._shuffled(epoch)
        chosen = self._order[1][place * self.size : (place + 1) * self.size][self.mine]
        return self.task.batch(self.tokenizer, [self.rows[i] for i in chosen], self.length)

    def _width(self, row: Example) -> int:
        """Tokens of a row as the task makes a batch of it: both sentences of a pair together, or the longer one."""
        batch = self.task.batch(self.tokenizer, [row], self.length)
        return max((tensor.shape[-1] for tensor in batch.values() if tensor.ndim > 1), default=0)

    def _shuffled(self, epoch: int) -> NDArray[np.int64]:
        """Rows of an epoch: at random into chunks, sorted there by tokens; the batches at random again."""
        random = np.random.default_rng([self.seed, epoch])
        order = random.permutation(len(self.rows))[: self.epoch * self.size]
        batches: list[NDArray[np.int64]] = []
        for start in range(0, len(order), self.size * _CHUNK):
            chunk = order[start : start + self.size * _CHUNK]
            chunk = chunk[np.argsort(self.widths[chunk], kind="stable")]
            batches += np.split(chunk, len(chunk) // self.size)
        return np.concatenate([batches[i] for i in random.permutation(len(batches))])
