"""A cell of a grid: its labels, its settings, and the name under which it is kept."""

from collections.abc import Mapping
from dataclasses import Field, dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Generic, Protocol, TypeVar, final

from walras.errors import InputError
from walras.experiments.grids.sources import content_key
from walras.experiments.settings.names import NONE

BUDGET, SEED = "budget", "seed"


class Settings(Protocol):
    """What a cell needs to know of its settings, which are a frozen dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def as_yaml(self) -> str:
        """The settings as a config file."""


S = TypeVar("S", bound=Settings)


@final
@dataclass(frozen=True)
class Cell(Generic[S]):
    """One run of a grid: its value on every axis, as tables show it, its seed, and all of its settings."""

    labels: Mapping[str, Any] = field(hash=False)
    seed: int
    settings: S = field(hash=False)

    @cached_property
    def key(self) -> str:
        """Name of the cell's folder: a hash of its settings and of the source of user code that they name.

        It is the same in every process and on every machine, and does not depend on where a user's file lies.

        Raises:
            InputError: a user's file that cannot be read.
        """
        return content_key(self.settings)

    def check_sources(self) -> None:
        """Refuse to run what the key no longer stands for.

        Raises:
            InputError: a user's file has been edited since the key was made.
        """
        if content_key(self.settings) != self.key:
            raise InputError(f"a file that {self} names was edited while the grid was running; start it again")

    def __getitem__(self, axis: str) -> Any:
        """The cell's label on an axis."""
        return self.labels[axis]

    def __str__(self) -> str:
        own = [told(axis, label) for axis, label in self.labels.items() if axis != BUDGET]
        at = f"{', '.join(own) or 'run'} at {shown(self.labels[BUDGET])}" if BUDGET in self.labels else ", ".join(own)
        return f"{at}, seed {self.seed}"


def shown(label: Any) -> str:
    """A label as text: numbers short."""
    return f"{label:g}" if isinstance(label, float) else str(label)


def told(axis: str, label: Any) -> str:
    """A label where its axis is not named: a text speaks for itself, a number, a switch or `none` does not."""
    return label if isinstance(label, str) and label != NONE else f"{axis}={shown(label)}"
