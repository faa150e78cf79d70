"""Cells of earlier versions, whose folders had other names: found by their settings, and kept."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from walras.errors import WalrasError
from walras.experiments.grids.cell import Cell, S
from walras.experiments.grids.experiment import Experiment
from walras.experiments.grids.sources import names_files
from walras.experiments.settings.trust import code_named
from walras.experiments.store.grid_folder import GridFolder
from walras.files.folders import put_in_place
from walras.files.plain_data import read_yaml


def adopt_earlier(experiment: Experiment[S], cells: Sequence[Cell[S]], folder: GridFolder) -> int:
    """Rename folders of cells to what they are called now, where their `config.yaml` says the same; how many.

    Settings that name files stay where they are: nobody knows what the files said when they were run.
    """
    wanted = {cell.key: cell for cell in cells if not folder.place(cell).exists()}
    place = folder.path / "cells"
    adopted = 0
    for old in sorted(place.iterdir()) if wanted and place.is_dir() else ():
        settings = _settings(experiment, old / "config.yaml")
        cell = None if settings is None else wanted.pop(Cell({}, 0, settings).key, None)
        if cell is not None and old.name != cell.key:
            with suppress(FileNotFoundError):  # another sweep of the same folder was faster
                put_in_place(old, folder.place(cell))
            folder.write(f"cells/{cell.key}/config.yaml", cell.settings.as_yaml())
            adopted += 1
    return adopted


def _settings(experiment: Experiment[S], file: Path) -> S | None:
    """The settings of a file; None where they name other files, or cannot be read."""
    try:
        written = read_yaml(file, "config file")
        if any(code_named(written)):
            return None  # nothing is run because a folder says so
        found = experiment.resolve(written)
        return None if names_files(found) else found
    except (OSError, ValueError, TypeError, AttributeError, WalrasError):
        return None
