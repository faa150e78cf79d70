"""Ridge regression on hashed words and on how long a text is."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, final
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from walras.experiments.queries.predictors.predictor import Column, Prediction, Predictor, prediction, targets

_TOKEN = re.compile(r"\\[a-zA-Z]+|\w+|[^\w\s]")
_RIDGES = tuple(10.0**k for k in range(-1, 4))
_FOLDS = 5
_SHAPE = 8  # features of length


@final
class Ridge(Predictor):
    """log(1 + threshold), and the chance of an answer, are linear in hashed word counts and in the text's length.

    1. A text's words and pairs of words are hashed (crc32) into `size` counts, of which log(1 + count) is taken and
       the vector scaled to length 1; to them come the logarithms of its characters, words, digits, LaTeX commands,
       line breaks and other marks.
    2. Columns are centred, features of length scaled to unit variance; for each of the two, the ridge with the least
       error in five-fold cross-validation on the training problems is taken. Solved in float64.
    """

    name: ClassVar[str] = "ridge"

    def __init__(self, tensors: Mapping[str, Tensor], cap: float) -> None:
        self.tensors, self.cap = dict(tensors), float(cap)
        self._mean, self._scale, self._weight, self._bias = (
            tensors[name].numpy().astype(np.float64) for name in ("mean", "scale", "weight", "bias")
        )

    @classmethod
    def fit(cls, texts: Sequence[str], threshold: Column, cap: float, **settings: Any) -> "Ridge":
        """Both steps of the class; `size` counts (2048)."""
        (y, solved), x = targets(threshold, cap), features(texts, int(settings.get("size", 2048)))
        mean, scale = x.mean(0), np.ones(x.shape[1])
        scale[-_SHAPE:] = x[:, -_SHAPE:].std(0) + 1e-9
        x = (x - mean) / scale
        fits = [_fitted(x[solved], y), _fitted(x, solved.astype(np.float64))]
        weight, bias = np.stack([w for w, _ in fits]), np.array([b for _, b in fits])
        columns = {"mean": mean, "scale": scale, "weight": weight, "bias": bias}
        return cls({name: torch.from_numpy(np.ascontiguousarray(column)) for name, column in columns.items()}, cap)

    def predict(self, texts: Sequence[str]) -> Prediction:
        """As the interface says."""
        x = (features(texts, self._weight.shape[1] - _SHAPE) - self._mean) / self._scale
        logarithm, chance = (x @ self._weight.T + self._bias).T
        return prediction(logarithm, chance, self.cap)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """As the interface says."""
        return self.tensors, {"cap": self.cap}

    @classmethod
    def restore(cls, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> "Ridge":
        """As the interface says."""
        return cls(tensors, float(settings["cap"]))


def features(texts: Sequence[str], size: int) -> Column:
    """Step 1 of `Ridge`: [n, size + 8]."""
    found = np.zeros((len(texts), size + _SHAPE))
    for row, text in zip(found, texts, strict=True):
        words = _TOKEN.findall(text.lower())
        for gram in (*words, *(f"{a} {b}" for a, b in pairwise(words))):
            row[crc32(gram.encode()) % size] += 1
        np.log1p(row[:size], out=row[:size])
        row[:size] /= max(float(np.linalg.norm(row[:size])), 1e-9)
        numbers = [w for w in words if w.isdigit()]
        counts = (len(text), len(words), len(numbers), text.count("\\"), text.count("\n"), text.count("="),
                  text.count("?"), sum(len(w) for w in numbers))  # fmt: skip
        row[size:] = np.log1p(counts)
    return found


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
        found: Column = x.T @ np.linalg.solve(x @ x.T + ridge * np.eye(n), y)
        return found
    return np.asarray(np.linalg.solve(x.T @ x + ridge * np.eye(d), x.T @ y))


def _error(x: Column, y: Column, held: np.ndarray[Any, np.dtype[np.bool_]], ridge: float) -> float:
    return float(((x[held] @ _solve(x[~held], y[~held], ridge) - y[held]) ** 2).sum())
