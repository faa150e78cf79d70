"""Data sets of the Hugging Face hub, through the optional package `datasets`."""

import importlib
import importlib.util
from typing import Any

from walras.errors import InputError
from walras.extras import installing


def hub_split(dataset: str, config: str, split: str, folder: str) -> Any:
    """A split as a sequence of dictionaries.

    Args:
        dataset: name on the hub.
        config: its configuration.
        split: as the hub calls it.
        folder: name of the folder that --data may hold instead.

    Raises:
        InputError: `datasets` is not installed, or the hub cannot be reached.
    """
    instead = f"or give the folder that holds {folder}/ with --data"
    if importlib.util.find_spec("datasets") is None:
        raise InputError(
            f"{folder} comes from the Hugging Face hub ({dataset}), which needs the package datasets: "
            f"{installing('hub')}, {instead}"
        )
    datasets = importlib.import_module("datasets")
    try:
        return datasets.load_dataset(dataset, config, split=split)
    except Exception as error:  # datasets and its HTTP libraries share no base class for "cannot be had"
        raise InputError(
            f"cannot fetch {dataset} ({config}) from the Hugging Face hub: {error}. Go online, {instead}"
        ) from error
