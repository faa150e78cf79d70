"""GLUE from the Hugging Face hub."""

from collections.abc import Iterator

from walras.experiments.tasks.data.glue_table import GlueTask
from walras.experiments.tasks.data.hub import hub_split
from walras.experiments.tasks.data.rows import Row

HUB_NAME = "nyu-mll/glue"


def hub_rows(task: GlueTask, split: str) -> Iterator[tuple[int, Row]]:
    """Rows of a split, counted from 0 as the hub counts them.

    Raises:
        InputError: `datasets` is not installed, or the hub cannot be reached.
    """
    return enumerate(hub_split(HUB_NAME, task.hub, task.hub_split(split), task.folder))
