"""Settings of a network whose tokens buy what they are computed with; checked before anything is loaded."""

from dataclasses import dataclass
from typing import Any, final

from walras.errors import InputError, UnknownNameError
from walras.experiments.settings.command_settings import CommandSettings
from walras.experiments.settings.fields import section, setting, whole
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
    price_policy: Any = setting("mixture", "Prices of maps relative to each other.", registry="price policy")
    prefill: str = setting("dense", "What prompts do: dense, or market, where each of their tokens buys too.")

    def __post_init__(self) -> None:
        if isinstance(self.budget, bool) or not 0 < self.budget <= 1:
            raise InputError(f"budget is {self.budget!r}; it must be a share above 0 and at most 1")
        if self.prefill not in PREFILLS:
            raise UnknownNameError("prefill", str(self.prefill), PREFILLS)


@final
@dataclass(frozen=True)
class SparsifyConfig(CommandSettings):
    """One network, data to find prices on, one budget. `parse` makes it from whatever is given."""

    sequences: int = setting(16, "Sequences of the task's training data on which worths and prices are found.")
    limit: int = setting(64, "Measure on the first rows of the evaluation data only; of a text a row is a sequence.")
    traced: int = setting(4, "Sequences whose purchases --trace writes.")
    seed: int = setting(0, "Seed of everything random.")
    subject: SubjectSpec = section(SubjectSpec, "Network and task")
    market: TokenMarketSpec = section(TokenMarketSpec, "Market")

    def __post_init__(self) -> None:
        for name, least in (("sequences", 1), ("traced", 1), ("limit", 2)):
            whole(name, getattr(self, name), least)
        whole("seed", self.seed, 0, 2**32 - 1)

    @classmethod
    def completed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Values; a file of data without a task is a document."""
        alone = values.get("data") is not None and values.get("task") is None
        return {**values, "task": DOCUMENT} if alone else values
