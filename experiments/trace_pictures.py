"""The pictures of `walras trace`."""

from pathlib import Path

import pandas as pd

from walras.experiments.folder import check_place, write_whole
from walras.experiments.plots import allocation, bids, png, survival, two_allocations
from walras.market import Trace


def draw(study: Trace, both: pd.DataFrame | None, first: str, second: str, folder: Path) -> None:
    """Write survival.png, allocation.png, bids.png and, of two runs, compared.png into a folder.

    Raises:
        InputError: a place that cannot be written.
    """
    check_place(folder)
    figures = {
        "survival": survival(study.survival), "allocation": allocation(study.trace),
        "bids": bids(study.trace, "money"),
    }  # fmt: skip
    if both is not None:
        figures["compared"] = two_allocations(both, first, second)
    for name, figure in figures.items():
        write_whole(folder / f"{name}.png", png(figure))
