"""What the cells of a grid are: how settings are read, what is done with them, and what a table says of a result."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Generic

from walras.experiments.grids.cell import Cell, S
from walras.experiments.store.grid_folder import GridFolder


class Experiment(ABC, Generic[S]):
    """A kind of cell: a market on a network, a training run, or what a user measures."""

    @property
    @abstractmethod
    def known(self) -> tuple[str, ...]:
        """Names of the settings, each of which can be an axis."""

    @abstractmethod
    def resolve(self, given: Mapping[str, Any]) -> S:
        """Settings from values by name, which may be texts.

        Raises:
            InputError, UnknownNameError: whatever is wrong with them.
        """

    def number_type(self, axis: str, given: Mapping[str, Any]) -> type[int] | type[float]:
        """Whether the numbers of a setting, with the others as given, are whole or real; for axes that are ranges.

        Raises:
            InputError: a setting that is no number.
        """
        del axis, given
        return float

    @abstractmethod
    def check(self, settings: Sequence[S]) -> None:
        """Find all that can be wrong without a network, with settings of one seed.

        Raises:
            InputError: it.
        """

    @abstractmethod
    def label(self, axis: str, settings: S) -> Any:
        """What tables call the value of a setting: a text, a number or a switch."""

    @abstractmethod
    def subject(self, settings: S) -> Hashable:
        """The settings on which the network depends: cells that share them run one after the other."""

    @abstractmethod
    def job(self, folder: GridFolder) -> Callable[[Cell[S]], object]:
        """What a worker does with a cell; it leaves a run folder at `folder.place(cell)`.

        It travels to other processes.
        """

    @abstractmethod
    def row(self, cell: Cell[S], result: Mapping[str, Any], timing: Mapping[str, Any]) -> dict[str, Any]:
        """A finished cell in the table, behind its labels and seed: `value` and `dense` at the least.

        Args:
            cell: the cell.
            result: what its `result.json` holds.
            timing: how long its small model takes; empty where that was not measured.
        """
