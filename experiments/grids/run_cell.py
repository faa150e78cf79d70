"""What a worker does with a cell that is a run."""

from dataclasses import dataclass
from functools import lru_cache
from typing import final

from walras.experiments.grids.cell import Cell
from walras.experiments.grids.sources import content_key
from walras.experiments.pipeline import run_plan
from walras.experiments.plan import Extras, Plan
from walras.experiments.spec import RunSpec, SubjectSpec
from walras.experiments.store.grid_folder import GridFolder
from walras.experiments.store.result_folder import ResultFolder
from walras.experiments.store.run_folder import RUN
from walras.experiments.subjects.subject import Subject


@final
@dataclass(frozen=True)
class RunCell:
    """The job of a worker: one cell from its settings to its run folder."""

    folder: GridFolder

    def __call__(self, cell: Cell[RunSpec]) -> None:
        """Run the cell anew, on the network of the last cell where that is the same."""
        cell.check_sources()
        place = ResultFolder(self.folder.place(cell), RUN, cell.settings, overwrite=True)
        extras = Extras(report=self.folder.kept)
        run_plan(Plan.from_spec(cell.settings), subject_of(cell.settings.subject), place, extras=extras)


def subject_of(spec: SubjectSpec) -> Subject:
    """The subject of the last call where the settings are the same, else loaded and measured.

    Cells come ordered by these settings, so that a process loads each network once.
    """
    try:
        return _loaded(spec, content_key(spec))
    except TypeError:  # a task object that cannot be hashed
        return Subject.load(spec)


@lru_cache(maxsize=1)
def _loaded(spec: SubjectSpec, content: str) -> Subject:
    del content  # of a user's file with the task: an edited one is another task
    return Subject.load(spec)
