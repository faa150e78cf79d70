"""What markets are run on. A new task is one file and one entry in `TASKS`, or a user's FILE.py:Class.

An entry takes `data`, the folder or file of --data; its other parameters stand behind the task's name.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from walras.experiments.tasks.audio import audio
from walras.experiments.tasks.base import Task
from walras.experiments.tasks.classification import classification
from walras.experiments.tasks.data.glue_table import GLUE
from walras.experiments.tasks.data.wikitext_files import WIKITEXT
from walras.experiments.tasks.document import document
from walras.experiments.tasks.images import images
from walras.experiments.tasks.labelled_table import csv
from walras.experiments.tasks.similarity import pairs, stsb
from walras.experiments.tasks.text import text
from walras.experiments.tasks.wikitext import wikitext
from walras.registry import Registry

TASKS: Registry[Task] = Registry("task", Task, texts=("name", "metric"))


def _of_table(factory: Callable[..., Task], name: str, about: str) -> Any:
    """A factory for one row of a table, with a sentence for `walras list tasks`."""
    made = partial(factory, name)
    vars(made)["about"] = about
    return made


for _factory in (pairs, text, document, csv, images, audio, stsb):
    TASKS.add(_factory)
for _name, _row in GLUE.items():
    if _row.classes:
        TASKS.add(_of_table(classification, _name, f"{_row.folder} of GLUE, by {_row.metrics[0]}."), _name)
for _name, _edition in WIKITEXT.items():
    TASKS.add(_of_table(wikitext, _name, f"{_edition.folder}, by perplexity."), _name)

__all__ = ["TASKS", "Task"]
