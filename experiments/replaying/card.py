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


def rows_of(compared: Comparison) -> list[list[str]]:
    """A row of texts per policy, under `HEADINGS`."""
    return [_row(compared, i) for i in range(len(compared.runs))]


def comparison_card(compared: Comparison) -> Table:
    """The table of all policies; intervals stand below their figures, so that eight columns fit a terminal."""
    table = Table(box=box.SIMPLE_HEAD)
    for i, name in enumerate(HEADINGS):
        told = name.replace(" ", "\n", 1)
        table.add_column(told, justify="right" if i else "left", overflow="fold", no_wrap=i > 0)
    for row in rows_of(compared):
        table.add_row(*(text.replace(" [", "\n[") for text in row))
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
