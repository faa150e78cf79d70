"""Ridge regression on hashed words and on how long a text is."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, final
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from walras.errors import InputError
from walras.escaping import shown
from walras.experiments.queries.predictors.predictor import (
    Column,
    FittedPredictor,
    Prediction,
    Predictor,
    Tell,
    check_tensors,
    prediction,
    targets,
)
from walras.files.record import Record
from walras.market.queries.limits import MOST_TOKENS

_TOKEN = re.compile(r"\\[a-zA-Z]+|\w+|[^\w\s]")
_RIDGES = tuple(10.0**k for k in range(-1, 4))
_FOLDS = 5
_MOST = 2**20  # counts
_SHAPE = 8  # features of length


@final
@dataclass(frozen=True)
class Ridge(Predictor):
    """Tokens and chances are linear in hashed word counts and in the text's length, fitted by ridge regression.

    1. A text's words and pairs of words are hashed (crc32) into `size` counts, of which log(1 + count) is taken and
       the vector scaled to length 1; to them come the logarithms of its characters, words, digits, LaTeX commands,
       line breaks and other marks.
    2. Columns are centred, features of length scaled to unit variance. One regression is of log(1 + threshold), the
       other of the chance; for each the ridge with the least error in five-fold cross-validation on the training
       problems is taken. Solved in float64.
    """

    size: int = 2048
    name: ClassVar[str] = "ridge"

    def __post_init__(self) -> None:
        if not 1 <= self.size <= _MOST:
            raise InputError(f"size is {shown(self.size)}; it must be a number of counts, 1 to {_MOST}")

    def fit(
        self, texts: Sequence[str], threshold: Column, cap: float, tell: Tell = lambda done, steps: None
    ) -> "FittedRidge":
        """Both steps of the class."""
        (y, solved), x = targets(threshold, cap), features(texts, self.size)
        mean, scale = x.mean(0), np.ones(x.shape[1])
        scale[-_SHAPE:] = x[:, -_SHAPE:].std(0) + 1e-9
        x = (x - mean) / scale
        fits = [_fitted(x[solved], y), _fitted(x, solved.astype(np.float64))]
        weight, bias = np.stack([w for w, _ in fits]), np.array([b for _, b in fits])
        tell(1, 1)
        columns = {"mean": mean, "scale": scale, "weight": weight, "bias": bias}
        tensors = {name: torch.from_numpy(np.ascontiguousarray(column)) for name, column in columns.items()}
        return FittedRidge(tensors, cap)

    @staticmethod
    def restore(tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> "FittedRidge":
        """As the interface says."""
        cap = Record(settings, "settings").number("cap", 1.0, MOST_TOKENS)
        width = tensors["mean"].numel() if "mean" in tensors else 0
        check_tensors(tensors, {"mean": [width], "scale": [width], "weight": [2, width], "bias": [2]})
        if width <= _SHAPE or not bool((tensors["scale"] > 0).all()):
            raise InputError(f"a ridge has more than {_SHAPE} columns (here: {width}), and scales above 0")
        return FittedRidge(tensors, cap)


@final
class FittedRidge(FittedPredictor):
    """Weights, biases and scales of a `Ridge` that was fitted."""

    name: ClassVar[str] = Ridge.name

    def __init__(self, tensors: Mapping[str, Tensor], cap: float) -> None:
        self.tensors, self.cap = dict(tensors), float(cap)
        self._mean, self._scale, self._weight, self._bias = (
            tensors[name].double().numpy() for name in ("mean", "scale", "weight", "bias")
        )

    def predict(self, texts: Sequence[str]) -> Prediction:
        """As the interface says."""
        with np.errstate(all="ignore"):  # `prediction` refuses what comes of numbers that are too large
            x = (features(texts, self._weight.shape[1] - _SHAPE) - self._mean) / self._scale
            logarithm, chance = (x @ self._weight.T + self._bias).T
        return prediction(logarithm, chance, self.cap)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """As the interface says."""
        return self.tensors, {"cap": self.cap}


def features(texts: Sequence[str], size: int) -> Column:
    """Step 1 of `Ridge`: [n, size + 8]."""
    counted = np.zeros((len(texts), size + _SHAPE))
    for row, text in zip(counted, texts, strict=True):
        words = _TOKEN.findall(text.lower())
        for gram in (*words, *(f"{a} {b}" for a, b in pairwise(words))):
            row[crc32(gram.encode()) % size] += 1
        np.log1p(row[:size], out=row[:size])
        row[:size] /= max(float(np.linalg.norm(row[:size])), 1e-9)
        numbers = [w for w in words if w.isdigit()]
        counts = (len(text), len(words), len(numbers), text.count("\\"), text.count("\n"), text.count("="),
                  text.count("?"), sum(len(w) for w in numbers))  # fmt: skip
        row[size:] = np.log1p(counts)
    return counted


def _fitted(x: Column, y: Column) -> tuple[Column, float]:
    """Weights and bias, with the ridge of step 2."""
    bias, fold = float(y.mean()), np.random.default_rng(0).permutation(len(y)) % _FOLDS
    error = [sum(_error(x, y - bias, fold == f, ridge) for f in range(_FOLDS)) for ridge in _RIDGES]
    inner = _solve(x, y - bias, _RIDGES[int(np.argmin(error))])
    return inner, bias


def _solve(x: Column, y: Column, ridge: float) -> Column:
    """Weights; by the smaller of the two systems."""
    n, d = x.shape
    if n < d:
        return np.asarray(x.T @ np.linalg.solve(x @ x.T + ridge * np.eye(n), y))
    return np.asarray(np.linalg.solve(x.T @ x + ridge * np.eye(d), x.T @ y))


def _error(x: Column, y: Column, held: np.ndarray[Any, np.dtype[np.bool_]], ridge: float) -> float:
    return float(((x[held] @ _solve(x[~held], y[~held], ridge) - y[held]) ** 2).sum())
