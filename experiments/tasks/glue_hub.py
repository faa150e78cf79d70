"""GLUE from the Hugging Face hub, through the optional package `datasets`."""

import importlib
import importlib.util
from collections.abc import Iterator
from typing import Any

from walras.errors import InputError
from walras.experiments.tasks.glue_table import GlueTask
from walras.experiments.tasks.rows import Row

HUB_NAME = "nyu-mll/glue"


def hub_rows(task: GlueTask, split: str) -> Iterator[tuple[int, Row]]:
    """Rows of a split, counted from 0 as the hub counts them.

    Raises:
        InputError: `datasets` is not installed, or the hub cannot be reached.
    """
    return enumerate(hub_split(task, split))


def hub_split(task: GlueTask, split: str) -> Any:
    """The split as a sequence of dictionaries."""
    instead = f"or give the folder that holds {task.folder}/ with --data"
    if importlib.util.find_spec("datasets") is None:
        raise InputError(
            f"{task.folder} comes from the Hugging Face hub ({HUB_NAME}), which needs the package datasets: "
            f"pip install 'walras[hub]', {instead}"
        )
    datasets = importlib.import_module("datasets")
    try:
        return datasets.load_dataset(HUB_NAME, task.hub, split=task.hub_split(split))
    except Exception as error:  # datasets and its HTTP libraries share no base class for "cannot be had"
        raise InputError(
            f"cannot fetch {HUB_NAME} ({task.hub}) from the Hugging Face hub: {error}. Go online, {instead}"
        ) from error
