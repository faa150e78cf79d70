"""What markets are run on. A new task is one file and one entry in `TASKS`, or a user's FILE.py:Class.

An entry takes `data`, the folder or file of --data; its other parameters are settings behind the task's name.
"""

from collections.abc import Callable
from functools import partial

from walras.experiments.tasks.base import Task
from walras.experiments.tasks.classification import classification
from walras.experiments.tasks.data.glue_table import GLUE
from walras.experiments.tasks.data.wikitext_files import WIKITEXT
from walras.experiments.tasks.similarity import pairs, stsb
from walras.experiments.tasks.text import text
from walras.experiments.tasks.wikitext import wikitext

TASKS: dict[str, Callable[..., Task]] = {
    "pairs": pairs,
    "text": text,
    "stsb": stsb,
    **{name: partial(classification, name) for name, row in GLUE.items() if row.classes},
    **{name: partial(wikitext, name) for name in WIKITEXT},
}

__all__ = ["TASKS", "Task"]
