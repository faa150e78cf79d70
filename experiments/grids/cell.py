"""A cell of a comparison, and the name under which it is kept."""

import json
from dataclasses import Field, asdict, dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, ClassVar, Generic, Protocol, TypeVar, final


class Settings(Protocol):
    """What a cell needs to know of its settings, which are a frozen dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def budget(self) -> float:
        """Share of the dense model's compute."""

    @property
    def seed(self) -> int:
        """Seed of everything random."""

    def as_yaml(self) -> str:
        """The settings as a config file."""


S = TypeVar("S", bound=Settings)


@final
@dataclass(frozen=True)
class Cell(Generic[S]):
    """One recipe at one budget with one seed."""

    recipe: str
    config: S

    @property
    def budget(self) -> float:
        """Share of the dense model's compute."""
        return self.config.budget

    @property
    def seed(self) -> int:
        """Draw of the calibration data, and everything else random."""
        return self.config.seed

    @cached_property
    def key(self) -> str:
        """Name of the cell's folder: a hash of its settings, the same in every process and on every machine."""
        canonical = json.dumps(asdict(self.config), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return sha256(canonical.encode("ascii")).hexdigest()[:16]

    def __str__(self) -> str:
        return f"{self.recipe} at {self.budget:g}, seed {self.seed}"
