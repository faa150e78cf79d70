"""Which rows are trained on, and which are held out of them."""

import numpy as np

from walras.errors import InputError
from walras.experiments.tasks import Task

MOST_HELD_OUT = 1000


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
