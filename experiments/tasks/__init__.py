"""What markets are run on. A new task is one file and one entry in `TASKS`, or a user's FILE.py:Class."""

from collections.abc import Callable
from functools import partial

from walras.experiments.tasks.base import Task
from walras.experiments.tasks.classification import classification
from walras.experiments.tasks.glue_table import GLUE
from walras.experiments.tasks.similarity import pairs, stsb
from walras.experiments.tasks.text import text

TASKS: dict[str, Callable[[str | None], Task]] = {
    "pairs": pairs,
    "text": text,
    "stsb": stsb,
    **{name: partial(classification, name) for name, row in GLUE.items() if row.classes},
}

__all__ = ["TASKS", "Task"]
