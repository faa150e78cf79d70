"""Points that a paper claims, which stand beside measured ones and are never mixed with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, final

import pandas as pd

from walras.files.plain_data import read_yaml


@final
@dataclass(frozen=True)
class Claims:
    """What is claimed of a family of models on a task, the dense one first."""

    source: str
    model: str
    metric: str
    shares: Sequence[float]  # of the dense model's compute
    values: Sequence[float]

    @property
    def frame(self) -> pd.DataFrame:
        """A row per claimed point, each with its source."""
        told = {"claimed in": self.source, "model": self.model, "metric": self.metric}
        points = zip(self.shares, self.values, strict=True)
        return pd.DataFrame([{**told, "claimed share": share, "claimed value": value} for share, value in points])


def claims_of(task: str) -> Claims | None:
    """What is claimed on a task, by its name; None where nothing is."""
    told = _file()
    own = told["tasks"].get(task)
    if own is None:
        return None
    shares = [flops / told["dense"] for flops in told["flops"]]
    return Claims(told["source"], told["model"], own["metric"], tuple(shares), tuple(own["values"]))


@cache
def _file() -> Mapping[str, Any]:
    found: Mapping[str, Any] = read_yaml(Path(__file__).with_name("claims.yaml"), "claims")
    return found
