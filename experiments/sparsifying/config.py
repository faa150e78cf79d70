"""Settings of a network whose tokens buy what they are computed with; checked before anything is loaded."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from walras.errors import InputError, UnknownNameError
from walras.experiments.settings.fields import (
    as_tree,
    as_yaml,
    flat,
    leaf_values,
    nested,
    read_settings,
    section,
    setting,
    whole,
)
from walras.experiments.settings.names import canonical_names, told
from walras.experiments.settings.trust import as_data
from walras.experiments.spec import SubjectSpec

PREFILLS = ("dense", "market")
DOCUMENT = "document"
"""The task where a file is given, and no task."""


@final
@dataclass(frozen=True)
class TokenMarketSpec:
    """Who bids inside a token, how prices stand to each other, for how much."""

    budget: float = setting(0.6, "Share of the dense network's multiplications that a token may spend on average.")
    token_valuation: Any = setting("fisher", "What a bidder is worth.", registry="token valuation")
    price_policy: Any = setting("one-price", "Prices of maps relative to each other.", registry="price policy")
    prefill: str = setting("dense", "What prompts do: dense, or market, where each of their tokens buys too.")

    def __post_init__(self) -> None:
        if isinstance(self.budget, bool) or not 0 < self.budget <= 1:
            raise InputError(f"budget is {self.budget!r}; it must be a share above 0 and at most 1")
        if self.prefill not in PREFILLS:
            raise UnknownNameError("prefill", str(self.prefill), PREFILLS)


@final
@dataclass(frozen=True)
class SparsifyConfig:
    """One network, data to find prices on, one budget. `parse` makes it from whatever is given."""

    sequences: int = setting(16, "Sequences of the task's training data on which worths and prices are found.")
    traced: int = setting(4, "Sequences whose purchases --trace writes.")
    seed: int = setting(0, "Seed of everything random.")
    subject: SubjectSpec = section(SubjectSpec, "Network and task")
    market: TokenMarketSpec = section(TokenMarketSpec, "Market")

    def __post_init__(self) -> None:
        for name in ("sequences", "traced"):
            whole(name, getattr(self, name), 1)
        whole("seed", self.seed, 0, 2**32 - 1)

    @staticmethod
    def parse(given: Mapping[str, Any]) -> "SparsifyConfig":
        """Settings as given on the command line, in a file or in a call; a file of data alone is a document.

        Raises:
            InputError, UnknownNameError: whatever is wrong with a key or a value, the nearest valid one named.
        """
        values = flat(given, SparsifyConfig)
        if values.get("data") is not None and values.get("task") is None:
            values["task"] = DOCUMENT
        return nested(canonical_names(values, SparsifyConfig), SparsifyConfig)

    @staticmethod
    def read(path: str | Path, given: Mapping[str, Any], code: Collection[Any] = ()) -> "SparsifyConfig":
        """Settings of a YAML file; what is `given` besides comes first. The file names no code but this.

        Raises:
            InputError, UnknownNameError: as `parse`, or a file that cannot be read, or names other code.
        """
        written = as_data(flat(read_settings(path), SparsifyConfig), path, given, code)
        return SparsifyConfig.parse({**written, **flat(given, SparsifyConfig)})

    def with_values(self, **values: Any) -> "SparsifyConfig":
        """The same with other values of some fields, whichever section they are in."""
        return nested({**leaf_values(self), **values}, SparsifyConfig)

    def as_yaml(self) -> str:
        """The settings as a file has them; `parse` makes the same of it."""
        return as_yaml(as_tree(self, told))
