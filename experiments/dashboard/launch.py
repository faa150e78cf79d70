"""What the dashboard was started with: the settings it begins with, and the folders that may be looked at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from walras.errors import InputError
from walras.experiments.dashboard.lively import LIVELY
from walras.experiments.settings.fields import leaf_values
from walras.experiments.sparsifying.trace_table import parts
from walras.experiments.spec import RunSpec
from walras.experiments.store.run_folder import ROUNDS

CONFIG = "config.yaml"
MOST_TOYS = 1_000_000


@final
@dataclass(frozen=True)
class Launch:
    """What every page begins with.

    Attributes:
        settings: of the market by name, as on the command line.
        toy: units of a market without a network; 0: the network that the settings name.
        folders: of runs and traces, given when the dashboard was started.
        runs: folder in which further ones are looked for.
        local: whether only this machine reaches the dashboard: then any folder may be named in the page.
        notes: sentences that the page says at its top.
    """

    settings: Mapping[str, Any] = field(default_factory=lambda: beginning(RunSpec.parse(LIVELY)))
    toy: int = 0
    folders: tuple[Path, ...] = ()
    runs: Path = Path("runs")
    local: bool = True
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.toy <= MOST_TOYS:
            raise InputError(f"--toy is {self.toy}; it must be a number of units from 1 to {MOST_TOYS}")

    @property
    def run_folders(self) -> list[Path]:
        """Folders of runs: those that were named, and those in `runs`."""
        return [folder for folder in self._folders() if is_run(folder)]

    @property
    def token_folders(self) -> list[Path]:
        """Folders of token traces, likewise."""
        return [folder for folder in self._folders() if is_token_trace(folder)]

    def _folders(self) -> list[Path]:
        try:
            found = sorted(self.runs.iterdir()) if self.runs.is_dir() else []
        except OSError:  # somebody else's
            found = []
        return list(dict.fromkeys([*self.folders, *found]))


def is_run(folder: Path) -> bool:
    """Whether a folder holds rounds of a run; one that may not be looked into does not."""
    try:
        return (folder / ROUNDS).is_file()
    except OSError:
        return False


def is_token_trace(folder: Path) -> bool:
    """Likewise whether it holds a token trace."""
    try:
        return bool(parts(folder))
    except OSError:
        return False


def beginning(spec: RunSpec) -> dict[str, Any]:
    """Settings by name, with what the recipe set written out; a market that is only looked at repairs no weights."""
    return {**leaf_values(spec), "recipe": "none", "repair": "none"}


def check_folder(folder: Path) -> None:
    """Refuse what is neither a run nor a token trace.

    Raises:
        InputError: as said.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give that of a run, or of a network of walras sparsify --trace")
    if not is_run(folder) and not is_token_trace(folder):
        raise InputError(f"{folder} holds neither a run ({ROUNDS}) nor a token trace (trace/tokens-00000.parquet)")
