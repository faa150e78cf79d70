"""Cells of earlier versions, whose folders had other names: found by their settings, and kept."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from walras.errors import WalrasError
from walras.experiments.grids.cell import Cell, S
from walras.experiments.grids.experiment import Experiment
from walras.experiments.grids.sources import names_files
from walras.experiments.store.grid_folder import GridFolder


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
            old.rename(folder.place(cell))
            folder.write(f"cells/{cell.key}/config.yaml", cell.settings.as_yaml())
            adopted += 1
    return adopted


def _settings(experiment: Experiment[S], file: Path) -> S | None:
    """The settings of a file; None where they name other files, or cannot be read."""
    try:
        found = experiment.resolve(yaml.safe_load(file.read_text(encoding="utf-8")))
        return None if names_files(found) else found
    except (OSError, ValueError, TypeError, AttributeError, WalrasError, yaml.YAMLError):
        return None
