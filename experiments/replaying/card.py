"""What `walras replay` prints."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table

from walras.experiments.replaying.comparison import Comparison
from walras.experiments.reports.numbers import ABSENT, decimals, number, percent

HEADINGS = (
    "policy", "accuracy", "of funded", "of optimum", "minus first", "spent, mean", "spent, most", "waits, mean",
    "waits, 95 %", "never",
)  # fmt: skip
_TOGETHER = ((0,), (1,), (2,), (3,), (4,), (5, 6), (7, 8), (9,))


def rows_of(compared: Comparison) -> list[list[str]]:
    """A row of texts per policy, under `HEADINGS`."""
    return [_row(compared, i) for i in range(len(compared.runs))]


def comparison_card(compared: Comparison) -> Table:
    """The table of all policies; figures that belong together stand below each other, so that all fit a terminal."""
    table = Table(box=box.SIMPLE_HEAD)
    for i, columns in enumerate(_TOGETHER):
        told = "\n".join(HEADINGS[c] for c in columns) if len(columns) > 1 else HEADINGS[columns[0]].replace(" ", "\n")
        table.add_column(told, justify="right" if i else "left", overflow="fold", no_wrap=i > 0)
    for row in rows_of(compared):
        table.add_row(*("\n".join(row[c] for c in columns).replace(" [", "\n[") for columns in _TOGETHER))
    return table


def _row(compared: Comparison, place: int) -> list[str]:
    run, budget = compared.runs[place], compared.opening.budget
    f = run.figures
    apart = ABSENT if place == 0 else _interval(compared.minus_first(run), sign=True)
    accuracy = _interval((f["accuracy"], f["accuracy_low"], f["accuracy_high"]))
    return [
        run.policy, accuracy, decimals(f["accuracy_of_funded"]), percent(f["share_of_optimum"]), apart,
        percent(f["spent_mean"] / budget), percent(f["spent_max"] / budget), *map(_seconds, _waits(f)),
        percent(f["never"]),
    ]  # fmt: skip


def _waits(figures: Any) -> Sequence[float | None]:
    return figures["waited_mean"], figures["waited_p95"]


def _seconds(value: float | None) -> str:
    return ABSENT if value is None else f"{number(value, 2)} s"


def _interval(values: Sequence[float], sign: bool = False) -> str:
    mean, low, high = (decimals(value) for value in values)
    return f"{'+' if sign and values[0] > 0 else ''}{mean} [{low}, {high}]"
