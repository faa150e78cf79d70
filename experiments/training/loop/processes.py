"""The processes, device and precision of a training run: accelerate's, which is an optional package."""

import importlib.util
from typing import TYPE_CHECKING

import torch

from walras.errors import InputError
from walras.experiments.training.config import TrainConfig
from walras.extras import installing

if TYPE_CHECKING:
    from accelerate import PartialState


def check_processes(config: TrainConfig) -> None:
    """Refuse what this machine cannot train with; nothing is begun.

    Raises:
        InputError: accelerate is not installed; fp16 without a GPU.
    """
    if importlib.util.find_spec("accelerate") is None:
        raise InputError(f"training needs the package accelerate: {installing('train')}")
    if config.optimiser.precision == "fp16" and (
        config.subject.device == "cpu" or not torch.accelerator.is_available()
    ):
        raise InputError("precision is fp16, which needs a GPU; on a processor use bf16 or no")


def processes_of(config: TrainConfig) -> "PartialState":
    """The processes that a launcher started, or this one alone."""
    from accelerate import PartialState

    return PartialState(cpu=config.subject.device == "cpu")


def is_main() -> bool:
    """Whether this is the process that writes and prints, once `processes_of` has been called."""
    from accelerate import PartialState

    return bool(PartialState().is_main_process)
