"""Files of `walras trace`: a table, a graph, a picture. Nothing that is there is replaced without a word."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import final

import pandas as pd

from walras.errors import InputError
from walras.experiments.reports.plots import png, svg_file
from walras.experiments.tracing.comparison import TracedRun
from walras.experiments.tracing.graph import replacement_graph
from walras.experiments.tracing.overview import overview
from walras.files.writing import whole_file, write_whole, writing
from walras.market import Trace
from walras.market.graph import write_graph


@final
class Exports:
    """The files that are to be written, checked before anything is read.

    Args:
        files: by option: `csv`, `graphml`, `png`, `svg`; None where none is wanted.
        overwrite: whether files that are there may be replaced.

    Raises:
        InputError: a file that is there already, a folder, a place in which none can be made; one file twice.
    """

    def __init__(self, files: Mapping[str, Path | None], overwrite: bool) -> None:
        self.files = {name: path for name, path in files.items() if path is not None}
        places = [os.path.realpath(path) for path in self.files.values()]
        for (name, path), place in zip(self.files.items(), places, strict=True):
            if places.count(place) > 1:
                raise InputError(f"--{name} {str(path)!r} is given to two options; each needs a file of its own")
            _check_new(name, path, overwrite)

    def write(self, rows: pd.DataFrame, trace: Trace, runs: Sequence[TracedRun]) -> list[Path]:
        """Write them; which were written.

        Args:
            rows: of the table, and whose units are the graph's nodes.
            trace: of the graph's edges.
            runs: in the picture.
        """
        for name, path in self.files.items():
            with writing(path):
                if name == "csv":
                    with whole_file(path) as draft:
                        rows.to_csv(draft, index=False)
                elif name == "graphml":
                    write_graph(replacement_graph(rows, trace), path)
                else:
                    write_whole(path, (png if name == "png" else svg_file)(overview(runs)))
        return [*self.files.values()]


def _check_new(name: str, path: Path, overwrite: bool) -> None:
    """Refuse a place at which no new file can be written."""
    try:
        if path.is_dir():
            raise InputError(f"--{name} {str(path)!r} is a folder; give the name of a file")
        if path.exists() and not overwrite:
            raise InputError(f"--{name} {str(path)!r} is there already; choose another name, or --overwrite")
        above = next(p for p in path.absolute().parents if p.exists())
        if not (above.is_dir() and os.access(above, os.W_OK)):
            raise InputError(
                f"--{name} {str(path)!r} cannot be written: {str(above)!r} is no folder that you may write to"
            )
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        why = getattr(error, "strerror", None) or error
        raise InputError(f"--{name} {str(path)!r} cannot be written: {why}; choose another name") from error
