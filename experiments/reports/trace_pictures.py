"""The pictures of `walras trace`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from walras.experiments.reports import plots
from walras.experiments.store.place import check_place
from walras.files.writing import write_whole
from walras.market import Trace

_LONGEST = 40  # characters of a run's name in that of a file, which must stay below 256 bytes


def draw(runs: Mapping[str, Trace], folder: Path) -> None:
    """Write pictures of the first run into a folder; of several, prices.png and compared-NAME.png show all of them.

    Raises:
        InputError: a place that cannot be written, or runs of different units.
    """
    (first, study), *others = runs.items()
    compared = {name: study.against(other) for name, other in others}
    check_place(folder)
    figures = {
        "survival": plots.survival(study.survival), "allocation": plots.allocation(study.trace),
        "bids": plots.bids(study.trace, "money"), "lorenz": plots.lorenz(study.lorenz),
        "prices": plots.price_paths({name: run.rounds for name, run in runs.items()}, "money"),
        **{
            f"compared-{name if len(name) <= _LONGEST else i}": plots.two_allocations(both, first, name)
            for i, (name, both) in enumerate(compared.items(), 2)
        },
    }  # fmt: skip
    for name, figure in figures.items():
        write_whole(folder / f"{name}.png", plots.png(figure))


def run_names(folders: Sequence[Path]) -> list[str]:
    """What runs are called: by their folders' names or, where two have the same, by number as well."""
    names = [folder.resolve().name for folder in folders]
    return [name if names.count(name) == 1 else f"{name}-{i}" for i, name in enumerate(names, 1)]
