"""The interface of every predictor: how the need of queries is learned from texts, and what is then said of others."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from walras.errors import InputError
from walras.escaping import shown
from walras.market.queries.limits import amount

Column = NDArray[np.float64]
Tell = Callable[[int, int], object]  # is told how many steps of the training are done, and of how many


@final
@dataclass(frozen=True, eq=False)
class Prediction:
    """For n queries: tokens [n] that an answer needs if there is one, and the chance [n] that there is one."""

    threshold: Column
    chance: Column


class FittedPredictor(ABC):
    """A trained predictor. Its state is named tensors and a few settings: saved without pickle."""

    name: ClassVar[str]  # of the entry of `PREDICTORS` that restores it

    @abstractmethod
    def predict(self, texts: Sequence[str]) -> Prediction:
        """Thresholds and chances of n texts."""

    @abstractmethod
    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and settings from which `Predictor.restore` makes the same predictor."""


class Predictor(ABC):
    """How the need of queries is learned from their texts: a final frozen dataclass of the training's parameters.

    Predictors regress log(1 + threshold) on the problems that were solved, and whether a problem is solved on all: an
    insolvent problem (threshold inf) says nothing of lengths. The chance weighs the query's bid. No threshold above
    `cap` is predicted.
    """

    name: ClassVar[str]

    @abstractmethod
    def fit(
        self, texts: Sequence[str], threshold: Column, cap: float, tell: Tell = lambda done, steps: None
    ) -> FittedPredictor:
        """Train on texts and thresholds [n].

        Args:
            texts: the problems.
            threshold: tokens that each needs; inf for a problem without an answer.
            cap: the most tokens that will be predicted.
            tell: hears of every step.

        Raises:
            InputError: fewer than 10 solved problems, a NaN among the thresholds, or no positive cap.
        """

    @staticmethod
    @abstractmethod
    def restore(tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> FittedPredictor:
        """The trained predictor of a saved state.

        Raises:
            InputError: tensors or settings that no trained predictor has.
        """


def check_tensors(tensors: Mapping[str, Tensor], expected: Mapping[str, Sequence[int]]) -> None:
    """Refuse tensors of a saved state that are missing, too many, or of another shape or type.

    Raises:
        InputError: the first of them.
    """
    for name in (*expected, *tensors):
        if name not in tensors or name not in expected:
            raise InputError(f"tensor {shown(name)} is {'missing' if name in expected else 'no part of it'}")
        found = tensors[name]
        if [*found.shape] != [*expected[name]] or found.is_complex() or found.dtype == torch.bool:
            raise InputError(f"tensor {name} is {found.dtype} {[*found.shape]}; it must be real {[*expected[name]]}")


def targets(threshold: Column, cap: float) -> tuple[Column, NDArray[np.bool_]]:
    """log(1 + threshold) of the problems that are solved, and which [n] these are.

    Raises:
        InputError: fewer than 10 solved problems, a NaN among the thresholds, or no positive cap.
    """
    cap = amount(cap, "cap", 1.0)
    solved = np.isfinite(threshold)
    if solved.sum() < 10 or np.isnan(threshold).any():
        raise InputError(f"{solved.sum()} solved problems of {len(threshold)}; valid: 10 or more, none of them NaN")
    return np.log1p(np.minimum(threshold[solved], cap)), solved


def prediction(logarithm: Column, chance: Column, cap: float) -> Prediction:
    """From predicted logarithms [n] and chances [n], both kept within what is possible.

    Raises:
        InputError: predictions that are no numbers.
    """
    if not (np.isfinite(logarithm).all() and np.isfinite(chance).all()):
        raise InputError("the predictor predicts what is no number; learn it again")
    tokens = np.expm1(np.clip(logarithm, np.log1p(1.0), np.log1p(cap)))
    return Prediction(tokens, np.clip(chance, 0.01, 1.0))
